"""Keys as lines of JSON or CSV: read from other programs, and written for other stores."""
