"""What data sets share: reading, verifying, splitting, downloading and installing."""
