#ifndef C_THREADS_H
#define C_THREADS_H

/// Counts without any guard, and gives how often it was called; two threads that call it race.
long c_threads_count(void);

#endif
