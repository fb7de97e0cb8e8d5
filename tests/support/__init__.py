"""What tests, demo and benches share: a busybox root, bundles, a driver of the runtime, looking at the host. Nothing here needs pytest."""
