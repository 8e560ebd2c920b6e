package import Database
package import Domain

/// Tells how far long work is, and of how much.
package typealias Advanced = @Sendable (_ reached: Int64, _ whole: Int64) -> Void

/// Checks the log against its seals, and what is not sealed yet by how its events follow each other.
package struct LogVerification: Sendable {
    /// What was found.
    package struct Report: Sendable {
        /// The last event.
        package var end = Position.none
        /// The last event that is sealed; those after it could be changed unnoticed where they still follow each other.
        package var sealed = Position.none
        /// How many rewritings events of the log record: of what was erased.
        package var rewritten = 0
        /// The first thing that is wrong with the log, and with the seal that was given; empty when all is well.
        package var faults: [String] = []
    }

    /// The first thing that is wrong; nothing behind it is looked at.
    private struct Fault: Error {
        let description: String
        init(_ description: String) { self.description = description }
        init(at position: Position, _ words: String) { description = "position \(position.rawValue) \(words)" }
    }

    private struct Kept: Sendable {
        let first: Position
        let seal: Seal
        let stretch: Stretch
    }

    private let database: any Database
    private let key: SealKey
    /// Whether it does not matter what seals and redactions are signed with: their hashes must fit all the same.
    private let acceptsAnyKey: Bool
    /// Told how many events are checked.
    package var advanced: Advanced = { _, _ in }

    package init(database: any Database, key: SealKey) { self.init(database: database, key: key, acceptsAnyKey: false) }

    init(database: any Database, key: SealKey, acceptsAnyKey: Bool) {
        self.database = database
        self.key = key
        self.acceptsAnyKey = acceptsAnyKey
    }

    /// Checks everything. A server may go on meanwhile.
    ///
    /// - Parameter proof: a seal that was kept elsewhere: the log must be what it was made of.
    package func run(against proof: Seal? = nil) async throws -> Report {
        var report = Report()
        var isProven = proof == nil
        do {
            let (first, whole) = try await database.read { connection in
                let first = try Sealer.firstPosition(connection)
                if let stray = try connection.first(Self.selectFirst, [], { $0.integerOrNil(0) }) ?? nil, stray < first.rawValue {
                    throw Fault(at: Position(rawValue: stray), "lies before the log's first, \(first.rawValue)")
                }
                return (first, try EventLog.head(connection).position.rawValue - first.rawValue + 1)
            }
            var next = first
            if let proof { try check(proof) }
            let redactions = try await redactions()
            report.rewritten = redactions.count
            var hash: [UInt8] = []
            while let kept = try await seal(after: next) {
                try await check(kept, follows: next, hash, redactions)
                (next, hash) = (kept.seal.position + 1, kept.seal.hash)
                report.sealed = kept.seal.position
                advanced(next.rawValue - first.rawValue, whole)
                try Task.checkCancellation()
                guard let proof, proof.position == report.sealed else { continue }
                guard proof.hash == hash else {
                    throw Fault("the log up to position \(proof.position.rawValue) is not the one that the given seal was made of")
                }
                isProven = true
            }
            report.end = try await checkRest(from: next, redactions)
            if let fault = redactions.fault { throw fault }
        } catch let fault as Fault { report.faults.append(fault.description) }
        if let proof, !isProven, report.faults.isEmpty {
            report.faults.append(
                report.sealed < proof.position
                    ? "the log is sealed up to position \(report.sealed.rawValue) only, and the given seal covers \(proof.position.rawValue)"
                    : "no seal ends at position \(proof.position.rawValue), as the given one does: seals were made anew")
        }
        return report
    }

    private func check(_ proof: Seal) throws(Fault) {
        guard proof.isSigned else { throw Fault("the given seal is not sound: its signature does not fit") }
        guard proof.publicKey == key.publicKey else { throw Fault("the given seal was signed with another server's key") }
    }

    private func seal(after position: Position) async throws -> Kept? {
        try await database.read { [key] connection in
            try connection.first(Self.selectSeal, [.integer(position.rawValue)]) { row in
                let first = Position(rawValue: row.integer(1))
                return Kept(
                    first: first,
                    seal: Seal(
                        position: Position(rawValue: row.integer(0)), hash: row.blob(3), signature: row.blob(4), publicKey: key.publicKey),
                    stretch: Stretch(first: first, events: row.blob(2)))
            }
        }
    }

    /// What was rewritten, as far as events of the log record it.
    private struct Redactions: Sendable {
        /// Those of which all is as it was recorded.
        var sound: Set<[UInt8]> = []
        /// How many events they have rewritten.
        var count = 0
        /// The first thing that is wrong with the others.
        var fault: Fault?
    }

    private func redactions() async throws -> Redactions {
        try await database.read { [key, acceptsAnyKey] connection in
            var redactions = Redactions()
            let ids = try connection.query(Self.selectRedactions, []) { $0.blob(0) }
            guard !ids.isEmpty else { return redactions }
            let proofs = try RedactionProof.all(connection).filter { acceptsAnyKey || key.isValid($0.signature, of: $0.message) }
            for id in ids {
                var chain = RedactionChain(id: id)
                var first: Position?
                _ = try connection.query(Self.selectRewritten, [.blob(id)]) { row in
                    let position = Position(rawValue: row.integer(0))
                    first = first ?? position
                    chain.add(position, row.blob(1))
                }
                if proofs.contains(where: chain.isWhat) {
                    redactions.sound.insert(id)
                    redactions.count += chain.count
                } else if redactions.fault == nil, let first {
                    redactions.fault = Fault(at: first, "is said to have been rewritten, but not by an event of the log")
                }
            }
            return redactions
        }
    }

    /// Which forms events were given on purpose.
    private static func forms(
        of range: ClosedRange<Position>, _ redactions: Redactions, _ connection: any Connection
    ) throws -> [Position: [[UInt8]]] {
        guard !redactions.sound.isEmpty else { return [:] }
        var forms: [Position: [[UInt8]]] = [:]
        _ = try connection.query(selectForms, [.integer(range.lowerBound.rawValue), .integer(range.upperBound.rawValue)]) { row in
            guard redactions.sound.contains(row.blob(2)) else { return }
            forms[Position(rawValue: row.integer(0)), default: []].append(row.blob(1))
        }
        return forms
    }

    private func check(_ kept: Kept, follows next: Position, _ hash: [UInt8], _ redactions: Redactions) async throws {
        let (stretch, seal) = (kept.stretch, kept.seal)
        guard kept.first == next else { throw Fault(at: next, "has lost its seal, though later ones have theirs") }
        let name = "the seal of positions \(kept.first.rawValue) to \(seal.position.rawValue)"
        guard stretch.count > 0, stretch.events.count.isMultiple(of: Stretch.hashBytes), stretch.last == seal.position,
            stretch.hash(after: hash) == seal.hash
        else { throw Fault("\(name) was changed") }
        guard acceptsAnyKey || seal.isSigned else { throw Fault("\(name) is not signed with this server's key") }
        let (events, forms) = try await database.read { connection in
            (
                try StoredEvent.after(kept.first + -1, limit: stretch.count, connection),
                try Self.forms(of: kept.first...stretch.last, redactions, connection)
            )
        }
        for index in 0..<stretch.count {
            let position = kept.first + index
            guard index < events.count, events[index].position == position else { throw Fault(at: position, "is missing") }
            guard events[index].hash != Array(stretch.hash(at: index)) else { continue }
            guard forms[position]?.contains(events[index].hash) == true else { throw Fault(at: position, "was changed") }
        }
    }

    /// Checks what has no seal yet: that positions are dense, that each event follows the last one of its stream and lies in its
    /// epoch, that payloads can be read, and that the log ends where its head says.
    private func checkRest(from first: Position, _ redactions: Redactions) async throws -> Position {
        var next = first
        while true {
            let start = next
            let count = try await database.read { connection in
                let events = try StoredEvent.after(start + -1, limit: Sealer.stretchEvents, connection)
                let epochs = try Epochs(connection)
                let forms = try events.last.map { try Self.forms(of: start...max(start, $0.position), redactions, connection) } ?? [:]
                let places = try events.last.map { try Self.places(of: start...max(start, $0.position), connection) } ?? [:]
                let readable = try Self.readable(after: start + -1, events.count, connection)
                for (index, event) in events.enumerated() {
                    let position = start + index
                    guard event.position == position else { throw Fault(at: position, "is missing") }
                    guard position <= epochs.head.position else { throw Fault(at: position, "lies beyond the log's end") }
                    guard event.epoch == epochs.firsts.last(where: { $0.position <= position })?.epoch else {
                        throw Fault(at: position, "is of another epoch than it lies in")
                    }
                    guard forms[position]?.contains(event.hash) != false else { throw Fault(at: position, "was changed") }
                    guard places[position] == event.previous else {
                        throw Fault(at: position, "does not follow its stream's last event")
                    }
                    guard position <= readable else { throw Fault(at: position, "cannot be read") }
                }
                let end = start + (events.count - 1)
                guard events.count == Sealer.stretchEvents || end == epochs.head.position else { throw Fault(at: end + 1, "is missing") }
                return events.count
            }
            next = next + count
            try Task.checkCancellation()
            guard count == Sealer.stretchEvents else { return next + -1 }
        }
    }

    /// What each event's stream had before it; nothing for those that their stream does not know.
    private static func places(of range: ClosedRange<Position>, _ connection: any Connection) throws -> [Position: Position] {
        let found = try connection.query(
            selectPlaces, [.integer(range.lowerBound.rawValue), .integer(range.upperBound.rawValue)]
        ) { (Position(rawValue: $0.integer(0)), Position(rawValue: $0.integer(1))) }
        return Dictionary(found) { first, _ in first }
    }

    /// The last of some events up to which all can be read.
    private static func readable(after position: Position, _ count: Int, _ connection: any Connection) throws -> Position {
        func canRead(_ count: Int) throws -> Bool {
            do { return try EventLog.events(after: position, limit: count, connection).count == count } catch is LogFault { return false }
        }
        if try canRead(count) { return position + count }
        var (good, bad) = (0, count)
        while good + 1 < bad {
            let middle = (good + bad) / 2
            if try canRead(middle) { good = middle } else { bad = middle }
        }
        return position + good
    }

    private static let selectFirst = Statement("SELECT min(position) FROM apus_event")

    private static let selectSeal = Statement(
        """
        SELECT position, first_position, events, hash, signature
        FROM   apus_seal
        WHERE  position >= $1
        ORDER  BY position
        LIMIT  1
        """)

    private static let selectRedactions = Statement("SELECT DISTINCT redaction FROM apus_redaction ORDER BY redaction")
    private static let selectRewritten = Statement(
        "SELECT position, hash FROM apus_redaction WHERE redaction = $1 ORDER BY position")
    private static let selectForms = Statement(
        "SELECT position, hash, redaction FROM apus_redaction WHERE position >= $1 AND position <= $2")

    private static let selectPlaces = Statement(
        """
        SELECT event.position,
               COALESCE(
                   (SELECT max(earlier.position)
                    FROM   apus_stream_event earlier
                    WHERE  earlier.stream = event.stream AND earlier.position < event.position), 0)
        FROM   apus_event event
        JOIN   apus_stream_event place ON place.stream = event.stream AND place.position = event.position
        WHERE  event.position >= $1 AND event.position <= $2
        """)
}
