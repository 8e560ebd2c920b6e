/// The commit that the program was built from, as BUILD_COMMIT said in the environment of `swift build`; empty where it said nothing.
const char *_Nonnull apus_build_commit(void);
