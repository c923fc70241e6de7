"""What a run is and where it is stored: its specification, folder, claim and files, and where they come from."""
