import Domain
import EventLog
import ReadModel
import Synchronization
import TestSupport
import Testing

@testable import Database

/// Notes how each statement that goes through would be carried out.
private final class Plans: Sendable {
    struct Plan: Hashable {
        let statement: String
        /// In the engine's words.
        let steps: [String]
        /// The steps that look at every row of something, be it through an index.
        let scans: [String]
    }

    private let seen = Mutex<Set<Plan>>([])
    /// Each statement is explained once: a projector that had to wait for more would keep readers waiting.
    private let known = Mutex<[String: Plan]>([:])

    func note(_ statement: Statement, _ values: [Value], _ connection: any Connection, _ dialect: Dialect) throws {
        let text = dialect == .sqlite ? statement.sqlite : statement.postgres
        // A setting has no plan.
        guard !text.hasPrefix("SET ") else { return }
        let plan = try known.withLock { $0[text] } ?? Self.plan(statement, values, connection, dialect)
        known.withLock { $0[text] = plan }
        seen.withLock { _ = $0.insert(plan) }
    }

    private static func plan(
        _ statement: Statement, _ values: [Value], _ connection: any Connection, _ dialect: Dialect
    ) throws -> Plan {
        switch dialect {
        case .sqlite:
            let steps = try connection.query(Statement("EXPLAIN QUERY PLAN " + statement.sqlite), values) { $0.text(3) }
            // Nearly all revisions that there are have the same `current`: who looks for it alone looks at all of them.
            let scans = steps.filter { ($0.hasPrefix("SCAN") && $0 != "SCAN CONSTANT ROW") || $0.contains("(current=?)") }
            return Plan(statement: statement.sqlite, steps: steps, scans: scans)
        case .postgres:
            // On tables of a few rows a scan is the best plan; what is asked is whether another is possible. Where rows are
            // wanted in an order, an index that has it looks good too, even when nothing bounds it.
            let explain = Statement("EXPLAIN (COSTS off) " + statement.postgres)
            try connection.run(script: "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on")
            let steps = try connection.query(explain, values) { $0.text(0) }
            for way in ["indexscan", "hashjoin", "mergejoin", "material"] { try connection.run(script: "SET LOCAL enable_\(way) = off") }
            let unordered = try connection.query(explain, values) { $0.text(0) }
            return Plan(statement: statement.postgres, steps: steps, scans: scans(in: unordered))
        }
    }

    /// An index that is read from one end to the other has no condition in the line below.
    private static func scans(in steps: [String]) -> [String] {
        zip(steps, steps.dropFirst() + [""]).compactMap { step, next in
            let isWhole = step.contains(/Index (Only )?Scan/) && !next.contains("Index Cond")
            return isWhole || step.contains("Seq Scan") ? step : nil
        }
    }

    func take() -> Set<Plan> {
        seen.withLock { seen in
            defer { seen = [] }
            return seen
        }
    }
}

private struct WatchedDatabase: Database {
    let base: any Database
    let plans: Plans
    var engine: DatabaseEngine { base.engine }

    func read<T: Sendable>(_ extent: ReadExtent, _ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        try await base.read(extent) { [self] connection in try body(watched(connection)) }
    }

    func write<T: Sendable>(_ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        try await base.write { [self] connection in try body(watched(connection)) }
    }

    private func watched(_ connection: any Connection) -> any Connection {
        WatchedConnection(base: connection, plans: plans, dialect: dialect)
    }
}

private struct WatchedConnection: Connection {
    let base: any Connection
    let plans: Plans
    let dialect: Dialect

    func execute(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> Int {
        try note(statement, values)
        return try base.execute(statement, values)
    }

    func enqueue(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) { _ = try execute(statement, values) }

    func enqueue(_ statement: SetStatement, rows: [[Value]]) throws(DatabaseFault) {
        switch dialect {
        case .sqlite: for row in rows { _ = try execute(statement.each, row) }
        case .postgres: if !rows.isEmpty { _ = try execute(statement.whole, statement.columns(of: rows)) }
        }
    }

    func query<T>(_ statement: Statement, _ values: [Value], _ row: (any Row) throws -> T) throws -> [T] {
        try note(statement, values)
        return try base.query(statement, values, row)
    }

    func run(script: String) throws(DatabaseFault) { try base.run(script: script) }

    private func note(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) {
        do { try plans.note(statement, values, base, dialect) } catch {
            throw error as? DatabaseFault ?? DatabaseFault(.corrupt, "\(error)")
        }
    }
}

@Suite("The plans of statements") struct PlanTests {
    /// Tables of one row or a few; virtual ones are the lists among the parameters. The revisions of a page come by id, and their
    /// mentions and the events of an audit are cut off first; so is what pages count, and what was done on them.
    private static let small = [
        "apus_log", "apus_projection", "apus_counted", "apus_epoch", "apus_schema", "sqlite_master", "VIRTUAL TABLE", "first_list",
        "pg_class", "pg_namespace", "paged_revision", "paged_mention", "paged_event", "SCAN counted", "SCAN own", "SCAN recent",
        "apus_admin_act_time",
    ]

    /// A database in which every kind of statement was run, with the plans of the whole history's statements.
    private func watched(_ engine: Engine, _ body: (Node, Plans) async throws -> Void) async throws {
        try await engine.place { place in
            let plans = Plans()
            try await place.node(watch: { WatchedDatabase(base: $0, plans: plans) }).running { node in
                try await node.wholeHistory()
                try await node.caughtUp()
                try await body(node, plans)
            }
        }
    }

    private func expectNoScan(_ plans: Set<Plans.Plan>) {
        #expect(!plans.isEmpty)
        for plan in plans {
            let scans = plan.scans.filter { scan in !Self.small.contains { scan.contains($0) } }
            #expect(scans.isEmpty, "\(plan.statement)\n\(plan.steps)")
        }
    }

    @Test("of appending and projecting scan no table", arguments: Engine.all)
    func writing(engine: Engine) async throws {
        try await watched(engine) { _, plans in expectNoScan(plans.take()) }
    }

    @Test("of the questions that are asked of a collection scan no table", arguments: Engine.all)
    func asking(engine: Engine) async throws {
        try await watched(engine) { node, plans in
            _ = plans.take()
            let ada = UserID(rawValue: 1)
            try await node.readModel.snapshot { snapshot in
                let access = try snapshot.access(to: notes, by: ada)
                for prefetch in [Prefetch.auto, .medium] {
                    #expect(try snapshot.items(of: access, after: .none, limit: 2, includesMain: false, prefetch).elements.count == 2)
                    try snapshot.requireCollections(of: ada)
                    #expect(try snapshot.collections(of: ada, types: nil, after: .none, limit: 2, prefetch).elements.count == 1)
                    #expect(try snapshot.revisions(of: "a", in: access, before: "a-3", limit: 1, prefetch).elements.count == 1)
                    #expect(try snapshot.updates(of: access, to: ["a": nil], after: .none, prefetch).elements.count == 1)
                    _ = try snapshot.collection(notes, of: ada, prefetch)
                    _ = try snapshot.item("a", of: access, prefetch)
                }
                _ = try snapshot.collections(of: ada, types: CollectionTypes([[1]]), after: .none, limit: 2, .medium)
                _ = try snapshot.removals(of: ada, after: .none, upTo: nil)
                _ = try snapshot.chunk("k1", in: access)
                // All that changed since the middle of the history, of which item a had other chunks then.
                let middle = try #require(try snapshot.position(ofStoken: try snapshot.stoken(at: Position(rawValue: 10))))
                #expect(try !snapshot.changes(of: access, after: middle, knownAt: middle, limit: 50).elements.isEmpty)
                _ = try snapshot.audience(of: notes)
                _ = try snapshot.members(of: access, after: .none, limit: 2)
                _ = try snapshot.member(named: "ada", of: access)
                for side in [InvitationSide.incoming, .outgoing] {
                    _ = try snapshot.invitations(side, of: ada, after: nil, limit: 2)
                    #expect(throws: Refusal.self) { try snapshot.invitation("none", side, of: ada) }
                }
                _ = try snapshot.state(CollectionNeeds(notes, items: ["a"], revisions: ["a-1"], chunks: ["k1"], claims: [.revision("a-1")]))
                _ = try snapshot.account(ada)
                _ = try snapshot.state(AccountNeeds(.name("ada"), withCollections: true))
                _ = try snapshot.position(ofStoken: try snapshot.stoken(at: Position(rawValue: 10)))
                _ = try snapshot.position(ofStoken: "of an adopted database")
            }
            expectNoScan(plans.take())
        }
    }

    @Test("of an audit scan no table", arguments: Engine.all)
    func audit(engine: Engine) async throws {
        try await watched(engine) { node, plans in
            _ = plans.take()
            let ada = UserID(rawValue: 1)
            try await node.readModel.snapshot { snapshot in
                for times in [Timestamp.always, noon...noon] {
                    let page = try snapshot.audit(of: notes, after: Position(rawValue: 9), at: times, limit: 2)
                    #expect(page.elements.count == 2 && !page.isDone)
                }
                _ = try snapshot.audit(at: try snapshot.auditPositions(of: ada, at: Timestamp.always))
                _ = try snapshot.auditPositions(of: notes, at: Timestamp.always)
                _ = try snapshot.history(of: notes)
            }
            expectNoScan(plans.take())
        }
    }

    @Test("of what pages show scan no table", arguments: Engine.all)
    func pages(engine: Engine) async throws {
        try await watched(engine) { node, plans in
            _ = plans.take()
            let ada = UserID(rawValue: 1)
            let keys = PageKeys(node.database)
            let link = try #require(try await keys.makeLink(to: .admin, goodFor: .seconds(60), at: noon))
            let visit = try #require(try await keys.redeem(link: link, to: .admin, goodFor: .seconds(60), at: noon))
            #expect(try await keys.session(secret: visit, in: .admin, at: noon) != nil)
            try await AdminActs(node.database).note("x", user: ada, in: "visit", by: nil, at: noon)
            #expect(try await AdminActs(node.database).newest(limit: 50).count == 1)
            try await node.readModel.snapshot { snapshot in
                #expect(try snapshot.accounts(startingWith: "a", after: "", limit: 50).elements.map(\.username) == ["ada"])
                #expect(try snapshot.accountOverview(ada)?.used?.collections == 1)
                #expect(try snapshot.staff(ada)?.mayLook == false)
                #expect(try snapshot.overview(of: ada, limit: 50).elements.count == 1)
                #expect(try snapshot.overview(of: notes, for: ada).owner == "ada")
                #expect(try snapshot.collectionOverviews(limit: 50).elements.map(\.uid).contains(notes))
                #expect(try snapshot.overview(of: notes)?.owner == "ada")
                _ = try snapshot.deletedItems(of: notes, limit: 50)
                #expect(try snapshot.activity(of: ada, before: .last, limit: 5).entries.count > 0)
                #expect(try snapshot.newest(of: nil, before: .last, limit: 5).entries.count == 5)
                #expect(try snapshot.newest(of: .collection(notes), before: .last, limit: 5).entries.count == 5)
            }
            expectNoScan(plans.take())
        }
    }

    @Test("of login sessions scan no table", arguments: Engine.all)
    func sessions(engine: Engine) async throws {
        try await watched(engine) { node, plans in
            _ = plans.take()
            let sessions = Sessions(database: node.database, lifetime: .seconds(86400))
            let token = try await sessions.create(for: UserID(rawValue: 1), device: nil, at: noon)
            let found = try await node.readModel.snapshot { try sessions.session(token: token, at: noon, $0) }
            #expect(found?.user == UserID(rawValue: 1))
            try await sessions.renew(tokens: [token], at: noon)
            try await sessions.delete(token: token)
            expectNoScan(plans.take())
        }
    }

    @Test("a page of items is read from the index of changes, in its order", arguments: Engine.all)
    func page(engine: Engine) async throws {
        try await watched(engine) { node, plans in
            _ = plans.take()
            _ = try await node.readModel.snapshot { snapshot in
                let access = try snapshot.access(to: notes, by: UserID(rawValue: 1))
                return try snapshot.items(of: access, after: Position(rawValue: 1), limit: 2, includesMain: true, .medium)
            }
            let page = try #require(plans.take().first { $0.statement.contains("FROM   apus_item changed") })
            let steps = page.steps.joined(separator: "\n")
            #expect(steps.contains(/apus_item_change[^\n]*\n?[^\n]*\(collection_id ?=.*AND.*stoken ?>/), "\(steps)")
            #expect(!steps.contains("TEMP B-TREE") && !steps.contains("Sort") && page.scans.isEmpty, "\(steps)")
        }
    }

    @Test("nothing changed is told by one statement that looks at no item", arguments: Engine.all)
    func nothingChanged(engine: Engine) async throws {
        try await watched(engine) { node, plans in
            let sessions = Sessions(database: node.database, lifetime: .seconds(86400))
            let token = try await sessions.create(for: UserID(rawValue: 1), device: nil, at: noon)
            let head = try await node.readModel.snapshot { try $0.logHead() }
            for list in [FollowedList.collections, .items(of: notes)] {
                _ = plans.take()
                #expect(try await node.readModel.unchanged(list, since: head, token: token, at: noon, sessions) != nil)
                let seen = plans.take()
                expectNoScan(seen)
                // Where a projector follows the log it asks questions of its own meanwhile.
                let asked = seen.filter { $0.statement.contains("token_auth_authtoken") }
                #expect(asked.count == 1 && !asked.contains { $0.statement.contains("item") })
            }
        }
    }

    @Test("of a login by email scan no table", arguments: Engine.all)
    func email(engine: Engine) async throws {
        try await watched(engine) { node, plans in
            _ = plans.take()
            _ = try await node.readModel.snapshot { try $0.account(of: AccountName("ada@example.com")) }
            expectNoScan(plans.take())
        }
    }
}
