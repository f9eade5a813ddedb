"""What `discover bench` is made of: contenders, the scene they meet in, the runs, and how results are shown."""
