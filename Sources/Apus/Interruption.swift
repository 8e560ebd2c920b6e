internal import Database
internal import Dispatch
internal import Glibc

/// Ctrl-C and SIGTERM in the middle of a command that makes files: what is unfinished goes, and the process ends by
/// that signal, or by the fault of missing it.
enum Interruption {
    /// Has it so from now on. To be called once in a process, by commands that do not serve.
    static func removesWhatIsUnfinished() {
        for number in [SIGINT, SIGTERM] where !isIgnored(number) {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            // It is there as long as the process: its handler holds it.
            source.setEventHandler {
                defer { withExtendedLifetime(source) {} }
                TemporaryFiles.removeAll {
                    end(by: number)
                }
            }
            source.resume()
        }
    }

    /// Ends the process by a signal. This thread takes it: Dispatch blocks signals on its threads and reads what is blocked everywhere,
    /// so that one for the process as a whole may be lost.
    private static func end(by number: Int32) -> Never {
        signal(number, SIG_DFL)
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, number)
        unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        raise(number)
        _exit(128 + number)
    }

    /// Whether whoever has started the process wants the signal to do nothing, as shells do for what runs in the background.
    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard unsafe sigaction(number, nil, &action) == 0 else { return false }
        return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }
}
