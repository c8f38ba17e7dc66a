"""Who may do what, for which purpose: the vocabulary, the question, the answer, the policies."""
