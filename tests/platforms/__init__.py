"""What each platform documents, statement by statement, through the command line."""
