import Database
import Domain

@testable import EventLog
@testable import Gateway
@testable import ReadModel

/// What a client knows of its request.
enum Reply<Answer: Sendable>: Sendable {
    case done(Answer)
    case failed(any Error)
    /// No answer came.
    case lost
}

/// Those who use an installation, and note what they see.
///
/// Safe: as the scheduler is.
final class Clients: @unchecked Sendable {
    private struct PageAnswer: Sendable {
        let told: [Told]
        let stoken: String?
        let isDone: Bool
    }

    private struct BadStoken: Error {}

    /// Safe: as the scheduler is.
    private final class Slot<Answer: Sendable>: @unchecked Sendable {
        private var continuation: CheckedContinuation<Reply<Answer>, Never>?

        init(_ continuation: CheckedContinuation<Reply<Answer>, Never>) { self.continuation = continuation }

        func end(_ reply: Reply<Answer>) {
            continuation?.resume(returning: reply)
            continuation = nil
        }
    }

    /// How long a client waits for an answer.
    private static let patience = Duration.seconds(8)

    let process: Process
    private let world: World
    private var scheduler: Scheduler { world.scheduler }
    private var revisions = 0

    init(world: World) {
        self.world = world
        process = Process(world.scheduler)
    }

    func start() {
        for number in 0..<3 { work { await self.write(as: "writer \(number)", user: number) } }
        if scheduler.happens(oneIn: 2) { work { await self.remove() } }
        for number in 0..<2 { work { await self.signUp(number) } }
        for number in 0..<3 { follow { await self.read(as: "reader \(number)", user: self.scheduler.below(4)) } }
        for number in 0..<2 { follow { await self.listen(as: "listener \(number)", user: self.scheduler.below(4)) } }
    }

    /// When everything works again, everything can be written again.
    func writeLast() {
        for collection in World.collections {
            work {
                var known: [String: [String: String]] = [:]
                await self.write(as: "the last", user: 0, to: collection, &known)
            }
        }
    }

    private func work(_ body: @escaping @Sendable () async -> Void) {
        world.working += 1
        process.start {
            await body()
            self.world.working -= 1
        }
    }

    private func follow(_ body: @escaping @Sendable () async -> Void) {
        world.following += 1
        process.start {
            await body()
            self.world.following -= 1
        }
    }

    private func pause(_ range: ClosedRange<Int>) async { await scheduler.wait(scheduler.micros(range)) }

    // MARK: The network

    private func ask<Answer: Sendable>(
        _ server: Process, _ body: @escaping @Sendable () async throws -> Answer
    ) async -> Reply<Answer> {
        await withCheckedContinuation { continuation in
            let (slot, scheduler, world) = (Slot(continuation), scheduler, world)
            scheduler.after(Self.patience) { slot.end(.lost) }
            @Sendable func isLost() -> Bool { world.losesRequests.map { scheduler.happens(oneIn: $0) } ?? false }
            if isLost() { return }
            server.atEnd { scheduler.after(.milliseconds(1)) { slot.end(.lost) } }
            // A proxy may send it again.
            for _ in 0..<(scheduler.happens(oneIn: 25) ? 2 : 1) {
                scheduler.after(scheduler.micros(50...3_000)) {
                    guard !server.isDead else { return slot.end(.lost) }
                    server.start {
                        let reply: Reply<Answer>
                        do { reply = .done(try await body()) } catch { reply = .failed(error) }
                        guard !server.isDead, !isLost() else { return }
                        scheduler.after(scheduler.micros(50...3_000)) { slot.end(reply) }
                    }
                }
            }
        }
    }

    private func frontEnd() -> FrontEnd { scheduler.pick(world.frontEnds) }

    // MARK: Writing

    private func write(as session: String, user: Int) async {
        var known: [String: [String: String]] = [:]
        for _ in 0..<(2 + scheduler.below(3)) {
            await pause(0...250_000)
            await write(as: session, user: user, to: scheduler.pick(World.collections), &known)
        }
    }

    private func write(as session: String, user: Int, to collection: String, _ known: inout [String: [String: String]]) async {
        revisions += 1
        let first = scheduler.below(3)
        let names = ["i\(first)", "i\(first + 1)"].prefix(scheduler.happens(oneIn: 3) ? 2 : 1)
        let checksEtags = scheduler.happens(oneIn: 2)
        let items = names.map { name in
            let etag = checksEtags ? known[collection]?[name] : nil
            return (item: name, revision: "r\(revisions)-\(name)-\(collection)", after: etag)
        }
        let command = CommitItems(
            collection: CollectionUID(collection), author: UserID(rawValue: Int64(user + 1)),
            items: items.map { item in
                OfferedItem(
                    uid: ItemUID(item.item), version: 1, encryptionKey: nil, etag: item.after.map { RevisionUID($0) },
                    revision: OfferedRevision(uid: RevisionUID(item.revision), meta: [1, 2, 3], isDeleted: false, chunks: []))
            }, dependencies: [], stoken: .any, checksEtags: checksEtags)
        let begin = scheduler.seconds
        let outcome = await commit(command, by: user)
        if outcome == .done { for item in items { known[collection, default: [:]][item.item] = item.revision } }
        if outcome == .refused { for item in items { known[collection, default: [:]][item.item] = nil } }
        world.history.writes.append(
            .init(session: session, collection: collection, items: items, outcome: outcome, begin: begin, end: scheduler.seconds))
    }

    /// Tries until there is an answer that says what came of it, or not much longer.
    private func commit<C: Command>(_ command: C, by user: Int, attempts: Int = 6) async -> History.Outcome
    where C.Needs: ReadNeeds {
        var isUnknown = false
        for attempt in 0..<attempts {
            let frontEnd = frontEnd()
            let reply = await ask(frontEnd.process) {
                _ = try await frontEnd.door.commit(command, by: Actor(user: UserID(rawValue: Int64(user + 1))), at: Installation.now())
            }
            switch reply {
            case .done: return .done
            case .failed(let error as Refusal):
                // Others come between the tries of a reader that is behind.
                return isUnknown || error == .usageUnknown ? .unknown : .refused
            case .failed, .lost: isUnknown = true
            }
            await pause(1_000...(300_000 * (attempt + 1)))
        }
        return .unknown
    }

    /// Ada puts Dan out of a collection.
    private func remove() async {
        await pause(50_000...900_000)
        let collection = scheduler.pick(World.collections)
        let begin = scheduler.seconds
        let outcome = await commit(
            RemoveMember(collection: CollectionUID(collection), author: UserID(rawValue: 1), member: UserID(rawValue: 4)), by: 0,
            attempts: 20)
        guard outcome == .done else { return }
        world.history.access.append(.init(user: "dan", collection: collection, isAllowed: false, begin: begin, end: scheduler.seconds))
    }

    /// Two want the same name.
    private func signUp(_ number: Int) async {
        await pause(100_000...102_000)
        let keys = UserKeys(
            salt: Array(repeating: UInt8(number), count: 16), loginPubkey: Array(repeating: 1, count: 32),
            pubkey: Array(repeating: 1, count: 32), encryptedContent: [1])
        let frontEnd = world.frontEnds[number]
        _ = await ask(frontEnd.process) {
            _ = try await frontEnd.door.commit(
                CreateUser(username: "zoe", email: "", keys: keys, passwordSalt: "salt", mayCreate: true), by: Actor(user: nil),
                at: Installation.now())
        }
    }

    // MARK: Reading

    private func read(as name: String, user: Int) async {
        let collection = scheduler.pick(World.collections)
        var (reader, number) = (name, 0)
        var stoken: String?
        var isLast = false
        while !isLast, !process.isDead {
            await pause(1_000...200_000)
            // The last time begins when everything works and nobody writes.
            isLast = world.isOver
            pages: while !process.isDead {
                let (since, begin, frontEnd) = (stoken, scheduler.seconds, frontEnd())
                let reply = await ask(frontEnd.process) {
                    try await self.page(of: collection, for: user, after: since, frontEnd)
                }
                switch reply {
                case .done(let page):
                    stoken = page.stoken
                    world.history.seen.append(
                        .init(
                            isFrame: false, reader: reader, user: World.users[user], collection: collection, since: since, told: page.told,
                            stoken: page.stoken, isLast: page.isDone, begin: begin, end: scheduler.seconds))
                    if page.isDone { break pages }
                case .failed(_ as BadStoken):
                    // It begins anew, as somebody who knows nothing.
                    number += 1
                    (reader, stoken) = ("\(name), \(number)", nil)
                case .failed(_ as Refusal):
                    guard !isLast else { return note(refused: name, user, collection) }
                    break pages
                case .failed, .lost:
                    await pause(1_000...100_000)
                    if !isLast, scheduler.happens(oneIn: 2) { break pages }
                }
            }
        }
    }

    /// In the end only those are refused who were put out.
    private func note(refused name: String, _ user: Int, _ collection: String) {
        let isMember = world.server.committed.rows.collections[collection]?.members[Int64(user + 1)] != nil
        if isMember { world.found.append("refused: \(name) of \(collection)") }
    }

    /// What a handler of the API does.
    private func page(of collection: String, for user: Int, after since: String?, _ frontEnd: FrontEnd) async throws -> PageAnswer {
        try await frontEnd.readModel.snapshot { snapshot in
            let access = try snapshot.access(to: CollectionUID(collection), by: UserID(rawValue: Int64(user + 1)))
            var start = Position.none
            if let since {
                guard let position = try snapshot.position(ofStoken: since) else { throw BadStoken() }
                start = position
            }
            let page = try snapshot.items(of: access, after: start, limit: 3, includesMain: true, .medium)
            let told = page.elements.map { Told(item: $0.uid, revision: $0.revision.uid, position: $0.changed.rawValue) }
            return PageAnswer(
                told: told, stoken: try page.elements.last.map { try snapshot.stoken(at: $0.changed) } ?? since, isDone: page.isDone)
        }
    }

    // MARK: Listening

    private func listen(as name: String, user: Int) async {
        let collection = scheduler.pick(World.collections)
        var (reader, number) = (name, 0)
        var stoken: String?
        while !process.isDead {
            await pause(1_000...50_000)
            switch await open(collection, for: user, after: stoken) {
            case .done(let socket):
                let isAtEnd = await receive(from: socket, as: reader, user, collection, &stoken)
                socket.shut()
                if isAtEnd { return noteEnd(of: reader, user, collection, stoken) }
            case .failed(_ as BadStoken):
                number += 1
                (reader, stoken) = ("\(name), \(number)", nil)
            case .failed(_ as Refusal):
                guard !world.isOver else { return note(refused: name, user, collection) }
            case .failed, .lost: break
            }
        }
    }

    /// Gets a ticket and opens a socket with it; now and then somebody else tries the same ticket.
    private func open(_ collection: String, for user: Int, after stoken: String?) async -> Reply<SimulatedSocket> {
        let frontEnd = frontEnd()
        let issued = await ask(frontEnd.process) {
            let grant = try await frontEnd.readModel.snapshot(.small) { snapshot in
                let access = try snapshot.access(to: CollectionUID(collection), by: UserID(rawValue: Int64(user + 1)))
                return Grant(
                    collection: access.uid, user: UserID(rawValue: Int64(user + 1)), session: "session-\(user + 1)",
                    token: "token-\(user + 1)", position: try snapshot.logHead().position)
            }
            return try await frontEnd.tickets.issue(grant)
        }
        switch issued {
        case .done(let ticket):
            if scheduler.happens(oneIn: 2) {
                let copy = scheduler.micros(0...2_500)
                process.start {
                    await self.scheduler.wait(copy)
                    if case .done(let socket) = await self.open(with: ticket, after: stoken) { socket.shut() }
                }
            }
            return await open(with: ticket, after: stoken)
        case .failed(let error): return .failed(error)
        case .lost: return .lost
        }
    }

    private func open(with ticket: String, after stoken: String?) async -> Reply<SimulatedSocket> {
        let node = scheduler.pick(world.gateways)
        let (client, world) = (process, world)
        return await ask(node.process) {
            let opening: Opening
            do { opening = try await node.gateway.open(ticket: ticket, after: stoken) } catch OpeningRefusal.badStoken { throw BadStoken() }
            world.redeemed[ticket, default: 0] += 1
            let socket = SimulatedSocket(from: node.process, to: client)
            node.process.start { node.gateway.keep(opening, on: socket) }
            return socket
        }
    }

    /// Takes frames until the socket is closed.
    ///
    /// - Returns: whether all is over, and there is nothing more to come.
    private func receive(
        from socket: SimulatedSocket, as reader: String, _ user: Int, _ collection: String, _ stoken: inout String?
    ) async -> Bool {
        socket.stoken = stoken
        watchEnd(of: socket, collection, patience: 12)
        for await buffer in socket.received {
            let frame = GatewayProcess.decode(buffer)
            let written = frame.told.compactMap { told in
                world.history.writes.first { $0.items.contains { $0.revision == told.revision } }?.begin
            }
            world.history.seen.append(
                .init(
                    isFrame: true, reader: reader, user: World.users[user], collection: collection, since: stoken, told: frame.told,
                    stoken: frame.stoken, isLast: false, begin: written.max() ?? 0, end: scheduler.seconds))
            stoken = frame.stoken
            socket.stoken = stoken
        }
        return socket.isOver
    }

    /// Once everything works and nobody writes, what there is to come comes soon; then the client leaves.
    ///
    /// - Parameter patience: how many times half a second it waits for what does not come.
    private func watchEnd(of socket: SimulatedSocket, _ collection: String, patience: Int) {
        scheduler.after(.milliseconds(500)) { [weak self, weak socket] in
            guard let self, let socket, !socket.isClosed else { return }
            let rows = world.server.committed.rows
            let seen = socket.stoken.flatMap { World.stokens.open($0)?.position.rawValue } ?? 0
            let hasAll = rows.position == world.server.committed.head && seen == rows.collections[collection]?.changed
            if world.isOver, hasAll || patience == 0 { return socket.leave() }
            watchEnd(of: socket, collection, patience: world.isOver ? patience - 1 : patience)
        }
    }

    /// A listener who was told everything is where a reader is who has read to the end.
    private func noteEnd(of reader: String, _ user: Int, _ collection: String, _ stoken: String?) {
        let now = scheduler.seconds
        // Who is out by now was told nothing by that.
        let access = world.history.access.last { $0.user == World.users[user] && $0.collection == collection }
        guard access?.isAllowed != false else { return }
        world.history.seen.append(
            .init(
                isFrame: false, reader: reader, user: World.users[user], collection: collection, since: stoken, told: [], stoken: stoken,
                isLast: true, begin: now, end: now))
    }
}
