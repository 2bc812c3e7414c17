"""The catalogue's commands; Django alone imports them."""
