"""Commands; their rules live in `accounts.services`."""
