"""How the catalogue's tables came about. Migrations import nothing of the product but what is frozen beside them."""
