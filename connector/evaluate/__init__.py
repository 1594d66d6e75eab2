"""Is it better, on my queries? Judged collections, runs, metrics, sweeps, significance and the report."""
