"""What the product costs in time and memory, measured on the machine at hand; `make bench` runs all of it."""
