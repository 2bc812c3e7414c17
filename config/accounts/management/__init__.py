"""Commands about who signs in."""
