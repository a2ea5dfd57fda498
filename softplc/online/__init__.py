"""Online change: another version of the program goes on with the values of the one before."""
