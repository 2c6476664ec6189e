"""Gates, export, parity, candidates and versions, promotion and its ledger."""
