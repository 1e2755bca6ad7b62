"""Files that come from elsewhere: where they are kept, how they are fetched, how their names are written."""
