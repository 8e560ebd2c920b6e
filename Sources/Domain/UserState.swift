/// What the rules need to know of an account.
public struct UserState: State {
    /// Nil while there is no such account.
    public var user: UserID?
    public var username: String
    public var isActive: Bool
    public var isInitialized: Bool
    /// The collections that the user owns, is a member of, or is invited to. Loaded for a reset only.
    public var collections: [CollectionUID]
    public var taken: TakenClaims

    /// A name that nobody has.
    public init(username: String) {
        self.username = username
        user = nil
        isActive = true
        isInitialized = false
        collections = []
        taken = [:]
    }

    /// An account of which only is asked whether it is there and active.
    public init(of user: UserID, isActive: Bool) {
        self.init(username: "")
        self.user = user
        self.isActive = isActive
    }
}

extension UserState {
    mutating func add(_ collection: CollectionUID) {
        if !collections.contains(collection) { collections.append(collection) }
    }

    /// The streams that a decision about the account depends on.
    public var streams: [StreamID] { (user.map { [.user($0)] } ?? []) + collections.map { .collection($0) } }
}
