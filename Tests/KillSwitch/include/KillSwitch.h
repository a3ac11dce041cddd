// Nothing to call: KillSwitch.c says what the library does to the program that it is preloaded into.
