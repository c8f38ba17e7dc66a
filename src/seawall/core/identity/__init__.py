"""Who somebody is: accounts, factors, sessions; pure records and rules."""
