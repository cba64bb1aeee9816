/* A preload library of somebody else's. */
int shieldrun_test_other(void) { return 1; }
