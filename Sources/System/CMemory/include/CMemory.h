#ifndef CMEMORY_H
#define CMEMORY_H

/// Gives the system back what the allocator holds and nobody uses, and lets go of the program's own code, of which most is needed only
/// when a program starts: what is needed again is mapped again from the file, which the system has in its cache.
void memory_give_back(void);

#endif
