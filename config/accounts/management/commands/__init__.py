"""Commands; their rules live in `config.accounts.services`."""
