"""What each difference between paper, release and this project is worth, measured: `make deviations`."""
