"""What a run is (its curves and its configuration), and when it generalised."""
