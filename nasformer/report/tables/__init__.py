"""Tables of reports: ``table`` declares what a table is, the others build one kind each."""
