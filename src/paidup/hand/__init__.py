"""What a person may do by hand, from the console, the API and the command line alike: shown before it happens, harmless
when it is done twice, and in the audit journal."""
