import Redis

@testable import Bulletin
@testable import Gateway

/// Redis: a channel whose messages may be lost, repeated and reordered, and a shelf of tickets.
///
/// Safe: as the scheduler is.
final class SimulatedRedis: @unchecked Sendable {
    struct Away: Error {}

    private let scheduler: Scheduler
    private let fault: Fault?
    private var listeners: [(process: Process, bulletin: RedisBulletin)] = []
    private var shelf: [String: (bytes: [UInt8], end: Int64)] = [:]
    private var isDown = false
    /// Of so many messages one is lost; nil for none.
    var loses: Int?

    init(_ scheduler: Scheduler, fault: Fault?) { (self.scheduler, self.fault) = (scheduler, fault) }

    func join(_ process: Process, _ bulletin: RedisBulletin) {
        listeners.removeAll { $0.process.isDead }
        listeners.append((process, bulletin))
        if !isDown { tell(.began, process, bulletin) }
    }

    func publish(_ bytes: [UInt8], from process: Process) {
        guard !process.isDead, !process.isCutOff, !isDown else { return }
        for (listener, bulletin) in listeners where !listener.isDead && !listener.isCutOff {
            if let loses, scheduler.happens(oneIn: loses) { continue }
            for _ in 0..<(scheduler.happens(oneIn: 20) ? 2 : 1) { tell(.message(bytes), listener, bulletin) }
        }
    }

    private func tell(_ news: RedisNews, _ process: Process, _ bulletin: RedisBulletin) {
        let delay = scheduler.happens(oneIn: 15) ? scheduler.micros(1_000...150_000) : scheduler.micros(30...900)
        scheduler.after(delay) { if !process.isDead { process.place.start { bulletin.receive(news) } } }
    }

    func setDown(_ isDown: Bool) {
        guard isDown != self.isDown else { return }
        self.isDown = isDown
        for (process, bulletin) in listeners where !process.isDead { tell(isDown ? .interrupted : .began, process, bulletin) }
    }

    // MARK: Tickets

    private func travel(_ process: Process) async throws {
        await scheduler.wait(scheduler.micros(50...1_500))
        guard !isDown, !process.isDead, !process.isCutOff else { throw Away() }
    }

    func put(_ bytes: [UInt8], at key: String, seconds: Int, _ process: Process) async throws {
        try await travel(process)
        shelf[key] = (bytes, scheduler.time + Int64(seconds) * 1_000_000_000)
        try await travel(process)
    }

    func take(_ key: String, _ process: Process) async throws -> [UInt8]? {
        try await travel(process)
        let found = shelf[key]
        if fault == .ticketTwice { try await travel(process) }
        shelf[key] = nil
        try await travel(process)
        return found.flatMap { $0.end > scheduler.time ? $0.bytes : nil }
    }
}

/// Redis as one process has it.
struct SimulatedShelf: TicketShelf {
    let redis: SimulatedRedis
    let process: Process

    func put(_ bytes: [UInt8], at key: String, seconds: Int) async throws {
        try await redis.put(bytes, at: key, seconds: seconds, process)
    }

    func take(_ key: String) async throws -> [UInt8]? { try await redis.take(key, process) }
}
