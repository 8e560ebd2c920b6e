internal import Contents
internal import Database
package import Domain
internal import EventLog

/// What a request will ask, said as far as what the wire brought tells it, so that all of it costs one round trip (`Inquiry`).
///
/// Each part says which questions of ``Snapshot`` it is about. What is not said is asked all the same, only later.
package struct Ahead {
    private(set) var inquiry = Inquiry()
    private let bounds: ContentBounds
    private let stokens: StokenSealer
    private var token: Value?
    /// Which statement tells the collection's number.
    private var access: Int?

    init(_ bounds: ContentBounds, _ stokens: StokenSealer) {
        (self.bounds, self.stokens) = (bounds, stokens)
    }

    // MARK: Who asks

    /// The session of a token: what everything else that follows belongs to.
    package mutating func session(token: String, at now: Timestamp, _ sessions: Sessions) {
        precondition(inquiry.count == 0, "who asks is asked first")
        self.token = .text(token)
        inquiry.ask(Sessions.selectSession, sessions.question(token: token, at: now))
    }

    private static let user = "(SELECT user_id FROM token_auth_authtoken WHERE key = $2)"

    @Sendable private static func isUser(_ user: UserID, _ answers: Inquiry.Answers) -> Bool {
        answers.first(0)?.integer(0) == user.rawValue
    }

    /// What ``Snapshot/access(to:by:)`` asks about the session's user.
    package mutating func access(to uid: CollectionUID) {
        guard let token else { return }
        EventLog.ask(headsOf: [.collection(uid)], and: Self.selectHeads, token, ahead: &inquiry, isUser: Self.isUser)
        let number = inquiry.count
        inquiry.ask(Self.selectAccess, [.text(uid.rawValue), token], for: Snapshot.selectAccess) { values, answers in
            guard values.first == .text(uid.rawValue), case .integer(let user)? = values.last else { return nil }
            return Self.isUser(UserID(rawValue: user), answers) ? Inquiry.Found(number) : nil
        }
        access = number
    }

    private static let selectHeads = EventLog.headsWithUser(user)
    private static let selectAccess = Snapshot.selectAccess(user: user)

    // MARK: What is listed

    /// What ``Snapshot/item(_:of:_:)`` asks.
    package mutating func item(_ uid: ItemUID, of collection: CollectionUID, _ prefetch: Prefetch) {
        list(Self.one, of: collection, [.text(uid.rawValue)], prefetch)
    }

    /// What a list's stoken and the items after it ask (``Snapshot/items(of:after:limit:includesMain:_:)``).
    ///
    /// - Parameter stoken: nil for the beginning.
    package mutating func items(
        of collection: CollectionUID, after stoken: String?, limit: Int, includesMain: Bool, _ prefetch: Prefetch
    ) {
        guard let position = start(stoken) else { return }
        list(
            Self.changes, of: collection, [.integer(position.rawValue), .flag(includesMain), .integer(Int64(limit) + 1)], prefetch)
    }

    /// What a list's stoken and the items of it that have changed ask (``Snapshot/updates(of:to:after:_:)``).
    package mutating func updates(
        of collection: CollectionUID, to known: [ItemUID: RevisionUID?], after stoken: String?, _ prefetch: Prefetch
    ) {
        guard let position = start(stoken) else { return }
        list(Self.updates, of: collection, Snapshot.values(of: known, after: position), prefetch)
    }

    /// Where a list begins; nil where only the database tells.
    private mutating func start(_ stoken: String?) -> Position? {
        guard let stoken else { return Position.none }
        guard let seen = stokens.open(stoken) else { return nil }
        Epochs.ask(ahead: &inquiry)
        return seen.position
    }

    /// A list of items, the chunks that they name, such contents as go into an answer in one piece, and the stokens of the changes,
    /// one of which may be the list's.
    ///
    /// - Parameter values: behind the collection.
    private mutating func list(_ listing: ItemListing, of collection: CollectionUID, _ values: [Value], _ prefetch: Prefetch) {
        guard let access else { return }
        let (number, limit) = (inquiry.count, Value.integer(Int64(bounds.mentions + 1)))
        let inlineBytes = Value.integer(prefetch == .auto ? Int64(bounds.inlineBytes) : -1)
        inquiry.ask(
            listing.statement, [.text(collection.rawValue)] + values + [limit, inlineBytes], for: listing.question
        ) { asked, answers in
            guard asked == [Self.number(answers, access)] + values else { return nil }
            return Inquiry.Found(number, rows: ItemListing.items(answers.rows(number)), columns: ItemListing.itemColumns)
        }
        inquiry.answer(Snapshot.selectStokenAt) { asked, answers in
            guard case .integer(let position)? = asked.first else { return nil }
            let row = answers.rows(number).firstIndex { $0.integerOrNil(ItemListing.position) == position }
            return row.map { Inquiry.Found(number, rows: [$0], columns: [ItemListing.stoken]) }
        }
        inquiry.answer(Snapshot.selectMentions) { [bounds] asked, answers in
            guard asked.count == 3, asked[1] == .integer(0), asked[2] == limit, case .integers(let given) = asked[0] else { return nil }
            let (revisions, rows) = (Set(given.compactMap(\.self)), answers.rows(number))
            let mentions = ItemListing.mentions(rows)
            // A list has one item more than the page that is made of it. Where it names too much, some of it is not there.
            guard mentions.count <= bounds.mentions, revisions.isSubset(of: rows.compactMap { $0.integerOrNil(ItemListing.revision) })
            else { return nil }
            return Inquiry.Found(
                number, rows: mentions.filter { revisions.contains(rows[$0].integer(ItemListing.mentioning)) },
                columns: ItemListing.mentionColumns)
        }
        inquiry.answer(TableContents.selectContents) { asked, answers in
            guard asked.count == 2, case .texts(let collections) = asked[0], case .texts(let chunks) = asked[1] else { return nil }
            guard collections.allSatisfy({ $0?.utf8.elementsEqual(collection.rawValue.utf8) ?? false }) else { return nil }
            var rows: [ExactText: Int] = [:]
            for (row, values) in answers.rows(number).enumerated() where !answers.isNull(number, row: row, ItemListing.content) {
                rows[ExactText(values.text(ItemListing.chunk))] = row
            }
            let found = chunks.compactMap { $0.flatMap { rows[ExactText($0)] } }
            guard found.count == chunks.count else { return nil }
            return Inquiry.Found(number, rows: found, columns: [ItemListing.collection, ItemListing.chunk, ItemListing.content])
        }
    }

    /// A collection's number; null where it is not to be seen.
    private static func number(_ answers: Inquiry.Answers, _ statement: Int) -> Value {
        .integer(orNull: answers.first(statement)?.integer(0))
    }

    private static let one = ItemListing(Snapshot.selectItem, Snapshot.ItemSource.one, parameters: 2)
    private static let updates = ItemListing(Snapshot.selectUpdates, Snapshot.ItemSource.updates, parameters: 4)
    private static let changes = ItemListing(Snapshot.selectChanges, Snapshot.ItemSource.changes, parameters: 4)

    // MARK: Accounts

    /// What ``Snapshot/account(named:)`` asks.
    package mutating func account(named name: CanonicalName) {
        EventLog.ask(holderOf: .username(name.text), ahead: &inquiry)
        inquiry.ask(Snapshot.selectCheckpoint, [])
        inquiry.ask(Snapshot.selectAccountsByName, [.text(name.text)])
    }

    // MARK: Sockets

    /// What is asked when a socket is opened: what has happened to its collection, whose the session is, and where it goes on
    /// (``Snapshot/require(_:)``, ``Sessions/users(of:at:_:)``).
    ///
    /// - Parameter stoken: nil for the beginning.
    package mutating func socket(of collection: CollectionUID, token: ExactText, at now: Timestamp, after stoken: String?) {
        inquiry.ask(EventLog.query(streams: [.collection(collection)]) { _, _, _ in })
        inquiry.ask(Snapshot.selectCheckpoint, [])
        _ = start(stoken)
        inquiry.ask(Sessions.selectUsers, [.texts([token.rawValue]), .text(now.text)])
    }

    // MARK: Commands

    /// What preparing a command asks that needs to know this of a collection.
    ///
    /// - Parameter stoken: what the command expects to be the collection's; nil for any.
    package mutating func needs(_ needs: CollectionNeeds, stoken: String? = nil) {
        guard token != nil else { return }
        if let stoken, !stoken.isEmpty, stokens.open(stoken) != nil { Epochs.ask(ahead: &inquiry) }
        let uid = Value.text(needs.collection.rawValue)
        let state = inquiry.ask(Snapshot.selectState, [uid])
        func ask(_ part: KeyPath<Snapshot.StateStatements, Statement>, _ values: [Value] = []) {
            let number = inquiry.count
            inquiry.ask(Self.ofCollection[keyPath: part], [uid] + values, for: Snapshot.ofCollection[keyPath: part]) { asked, answers in
                asked == [Self.number(answers, state)] + values ? Inquiry.Found(number) : nil
            }
        }
        ask(\.members)
        ask(\.invitations)
        if !needs.items.isEmpty { ask(\.etags, [.texts(needs.items.map(\.rawValue))]) }
        if !needs.revisions.isEmpty { ask(\.holders, [.texts(needs.revisions.map(\.rawValue))]) }
        if !needs.chunks.isEmpty { ask(\.chunks, [.texts(needs.chunks.map(\.rawValue))]) }
        if !needs.claims.isEmpty { inquiry.ask(EventLog.query(taken: needs.claims) { _, _ in }) }
        // Who would make one is not known yet.
        if needs.quota == .owner { inquiry.ask(Snapshot.query(quotaOfOwnerOf: needs.collection, or: nil) { _ in }) }
        EventLog.ask(
            unprojected: .collection(needs.collection), limit: bounds.tailEvents, bytes: bounds.tailBytes, ahead: &inquiry
        ) { position, answers in answers.first(0)?.integerOrNil(4) == position.rawValue }
        inquiry.ask(EventLog.queryHead { _ in })
    }

    private static let ofCollection = Snapshot.StateStatements(collection: ItemListing.number)
}

/// A list of items for a collection's uid, `$1`, instead of its number, and what belongs to the items in it: in one statement, so
/// that the items are looked for once. It answers with a row for each item, and one for each chunk that one of them names.
private struct ItemListing: Sendable {
    /// The collection's number.
    static let number = "(SELECT id FROM django_etebase_collection WHERE uid = $1)"

    // Columns of an item, null in a chunk's row: where it changed and its revision; at the end the stoken of the change.
    static let (position, revision, stoken) = (4, 5, 11)
    static let itemColumns = Array(0..<stoken)
    // Columns of a chunk that is named, null in an item's row: by which revision; the content only where all of them together are
    // within a bound.
    static let mentioning = stoken + 1
    static let (mention, chunk, collection, content) = (
        mentioning + 1, mentioning + 2, mentioning + 3, mentioning + 3 + ContentStores.columnCount
    )
    static let mentionColumns = Array(mentioning..<content)

    /// Which rows are items, in the order of their changes.
    static func items(_ rows: [any Row]) -> [Int] { ordered(rows, by: position) }

    /// Which rows are chunks that are named, in the order in which they are.
    static func mentions(_ rows: [any Row]) -> [Int] { ordered(rows, by: mention) }

    private static func ordered(_ rows: [any Row], by column: Int) -> [Int] {
        let keys = rows.enumerated().compactMap { row, values in values.integerOrNil(column).map { (key: $0, row: row) } }
        return keys.sorted { ($0.key, $0.row) < ($1.key, $1.row) }.map(\.row)
    }

    /// The question that the items answer.
    let question: Statement
    /// With two more parameters than the question: how many chunks are listed, and how many bytes of contents.
    let statement: Statement

    /// - Parameter count: how many parameters the question has.
    init(_ question: Statement, _ source: (String) -> String, parameters count: Int) {
        self.question = question
        func nulls(_ count: Int) -> String { Array(repeating: "NULL", count: count).joined(separator: ", ") }
        let mentions = Snapshot.mentions(
            of: "= ANY(ARRAY(SELECT listed.revision FROM listed))", after: "0", limit: "$\(count + 1)",
            and: ", CASE WHEN sum(length(stored.content)) OVER () <= $\(count + 2) THEN stored.content END")
        let names = (0..<Self.position).map { "c\($0)" } + ["position", "revision"] + (Self.revision + 1...Self.stoken).map { "c\($0)" }
        statement = Statement(
            """
            WITH   listed (\(names.joined(separator: ", "))) AS MATERIALIZED
                   (SELECT \(Snapshot.itemColumns),
                           (SELECT named.uid FROM django_etebase_stoken named WHERE named.id = changed.stoken)
                   \(source(Self.number)))
            SELECT listed.*, \(nulls(Self.content - Self.stoken)) FROM listed
            UNION  ALL
            SELECT \(nulls(Self.mentioning)), mentioned.* FROM (\(mentions)) AS mentioned
            """)
    }
}
