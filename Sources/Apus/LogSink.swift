internal import Dispatch
internal import Foundation
internal import Glibc
internal import Synchronization

/// Writes the log to the standard error stream, on a thread of its own: whoever logs never waits for who reads.
///
/// Lines wait in memory, up to a limit. When nobody takes them any more, a pipe that is full or a terminal that stands still, new
/// ones are dropped and counted; once somebody reads again a line tells how many. What waits when the process ends is written
/// within a short time, or lost.
final class LogSink: Sendable {
    /// How much waits to be written at most; as much again may be on its way.
    static let limitBytes = 1 << 20
    /// How long the end of the process waits for what was not written.
    private static let patience = 1.0
    /// What a pipe takes as a whole, so that lines of several processes do not mix (POSIX: at least 512; Linux: 4096).
    private static let wholeBytes = 4096

    private struct State {
        var waiting: [UInt8] = []
        var dropped = 0
        var isWriting = false

        var isIdle: Bool { waiting.isEmpty && !isWriting }
    }

    private let state = Mutex(State())
    private let news = DispatchSemaphore(value: 0)
    private let rests = DispatchSemaphore(value: 0)
    private let tell: @Sendable (Int) -> String

    private static let ofProcess = Mutex<LogSink?>(nil)

    /// Begins to write.
    ///
    /// - Parameter tell: the line that says that so many were dropped.
    init(tell: @escaping @Sendable (Int) -> String) {
        self.tell = tell
        // Whoever took the log may go; that ends nobody.
        signal(SIGPIPE, SIG_IGN)
        Thread.detachNewThread { [self] in
            while true { writeNext() }
        }
        Self.ofProcess.withLock { $0 = self }
        atexit { LogSink.ofProcess.withLock { $0 }?.flush() }
    }

    /// Takes a line, without its end.
    func take(_ line: String) {
        let isNews = state.withLock { state in
            guard state.waiting.count + line.utf8.count < Self.limitBytes else {
                state.dropped += 1
                return false
            }
            state.waiting += line.utf8
            state.waiting.append(UInt8(ascii: "\n"))
            return true
        }
        if isNews { news.signal() }
    }

    /// Waits until everything is written, for a short time at most.
    private func flush() {
        let end = DispatchTime.now() + Self.patience
        while !state.withLock({ $0.isIdle }) { guard rests.wait(timeout: end) == .success else { return } }
    }

    private func writeNext() {
        news.wait()
        let lines = state.withLock { state in
            var lines = state.waiting
            state.waiting = []
            if state.dropped > 0 { lines += (tell(state.dropped) + "\n").utf8 }
            state.dropped = 0
            state.isWriting = true
            return lines
        }
        var rest = lines[...]
        while !rest.isEmpty {
            let part = rest.prefix(Self.wholeBytes)
            let end = part.count == rest.count ? nil : part.lastIndex(of: UInt8(ascii: "\n"))
            let whole = end.map { rest[...$0] } ?? part
            write(whole)
            rest = rest[whole.endIndex...]
        }
        state.withLock { $0.isWriting = false }
        rests.signal()
    }

    /// Writes some lines, however long that takes. A log that nobody can take any more is lost.
    private func write(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if written > 0 {
                rest = rest.dropFirst(written)
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // Somebody who shares the stream has made it so.
                var ready = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
                unsafe poll(&ready, 1, -1)
            default: return
            }
        }
    }
}
