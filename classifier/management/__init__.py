"""The classifier's commands and what they share; Django alone imports them."""
