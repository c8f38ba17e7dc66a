"""The ledger's arithmetic: entries, tree, tiles, proofs, checkpoints, in C2SP's public formats."""
