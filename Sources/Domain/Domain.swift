/// The rules of Apus: what may happen, and what it means.
///
/// Pattern: `decide(state, command) -> [Event]` and `evolve(state, event) -> state`, both pure: no I/O, no clock, no
/// randomness but what a command carries. State is what the read model says at a position and the events after it.
/// The rules are the protocol's (access, etags, stale stokens, dependencies, uniqueness); they stand here once, and every
/// engine, every front end and every test uses these.
///
/// Invariants: ids of users and collections are the positions of the events that made them; events refer to collections,
/// items and revisions by the uids that clients chose, and to users by id, so no name of a person is in a collection's
/// stream.

/// A uid that a client chose, or a name for one thing that must not be taken for another.
package protocol Identifier: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible where RawValue == String {
    /// Any string is taken; which are good for new things is ``UIDRule``'s matter.
    init(rawValue: String)
}

extension Identifier {
    /// Uids are equal when their bytes are: Swift's strings are also equal when they only look alike, as `é` in one scalar
    /// and in two, and the databases tell those apart.
    package static func == (left: Self, right: Self) -> Bool { left.rawValue.hasBytes(of: right.rawValue) }

    /// In the order of their bytes, as the databases have them.
    package static func < (left: Self, right: Self) -> Bool { left.rawValue.utf8.lexicographicallyPrecedes(right.rawValue.utf8) }

    /// Feeds the bytes, as equality compares them.
    package func hash(into hasher: inout Hasher) {
        var text = rawValue
        text.withUTF8 { bytes in unsafe hasher.combine(bytes: UnsafeRawBufferPointer(bytes)) }
        hasher.combine(0xff as UInt8)
    }

    /// The uid itself.
    package var description: String { rawValue }
    /// The uid in `text`.
    package init(_ text: String) { self.init(rawValue: text) }
}

/// Names a collection on the whole server; its main item has the same uid.
package struct CollectionUID: Identifier {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
}

extension CollectionUID {
    /// The item that stands for the collection itself.
    package var mainItem: ItemUID { ItemUID(rawValue) }
}

/// Names an item in its collection.
package struct ItemUID: Identifier {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
}

/// Names a revision on the whole server; the uid of an item's current revision is the item's etag.
package struct RevisionUID: Identifier {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
}

/// Names a chunk of content in its collection.
package struct ChunkUID: Identifier {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
}

/// Names an invitation to its two sides. The original does not keep it unique, so it need not be.
package struct InvitationUID: Identifier {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
}

/// A user's id: the position of the event that created the account, and the row's id in `myauth_user`.
package struct UserID: RawRepresentable, Hashable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
}

/// A place in the log, 1 for the first event. Positions are dense, and they are the stokens of the protocol.
package struct Position: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }

    /// Before the first event: the head of an empty stream.
    package static let none = Position(rawValue: 0)
    package static func < (left: Position, right: Position) -> Bool { left.rawValue < right.rawValue }
    /// The position `count` events later.
    package static func + (position: Position, count: Int) -> Position { Position(rawValue: position.rawValue + Int64(count)) }
}

/// A moment in UTC, in microseconds since 1970.
package struct Timestamp: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.rawValue < right.rawValue }
    /// All of time.
    package static let always = Timestamp(rawValue: .min)...Timestamp(rawValue: .max)
}

/// What a member may do. The raw values are those of the protocol and of `accessLevel` in the tables.
package enum AccessLevel: Int64, Hashable, Sendable {
    case readOnly = 0
    case admin = 1
    case readWrite = 2

    /// Whether items may be written.
    package var canWrite: Bool { self != .readOnly }
}

/// Who did something: a user in a session, or the operator at the command line.
package struct Actor: Hashable, Sendable {
    /// Nil for the operator.
    package let user: UserID?
    /// The short id of the login session; nil outside of one.
    package let session: String?
    /// The client's address, where the operator records it.
    package let address: String?

    package init(user: UserID?, session: String? = nil, address: String? = nil) {
        self.user = user
        self.session = session
        self.address = address
    }

    /// Somebody at the server's command line.
    package static let `operator` = Actor(user: nil)
}

/// A stream of the log. Each event belongs to one and may touch others.
package enum StreamID: Hashable, Sendable {
    case collection(CollectionUID)
    case user(UserID)
    /// The stream of the user whom this very event creates; its position names it.
    case createdUser
}

/// A key that must be new in the whole log.
package enum Claim: Hashable, Sendable {
    case username(String)
    case collection(CollectionUID)
    case revision(RevisionUID)
    case collectionType([UInt8])

    /// Names are the same when their bytes are.
    package static func == (left: Claim, right: Claim) -> Bool {
        switch (left, right) {
        case (.username(let one), .username(let other)): one.isExactly(other)
        case (.collection(let one), .collection(let other)): one == other
        case (.revision(let one), .revision(let other)): one == other
        case (.collectionType(let one), .collectionType(let other)): one == other
        case (.username, _), (.collection, _), (.revision, _), (.collectionType, _): false
        }
    }

    /// Feeds what equality compares.
    package func hash(into hasher: inout Hasher) {
        switch self {
        case .username(let name): hasher.combine(ExactText(name))
        case .collection(let uid): hasher.combine(uid)
        case .revision(let uid): hasher.combine(uid)
        case .collectionType(let type): hasher.combine(type)
        }
    }
}

/// The claims that are known to be taken, and by whom.
package typealias TakenClaims = [Claim: UserID]
