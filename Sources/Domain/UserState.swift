/// What the rules need to know of an account.
package struct UserState: State {
    /// Nil while there is no such account.
    package var user: UserID?
    package var username: String
    package var isActive: Bool
    package var isInitialized: Bool
    /// The collections that the user owns, is a member of, or is invited to. Loaded for a reset only.
    package var collections: [CollectionUID]
    package var taken: TakenClaims

    /// A name that nobody has.
    package init(username: String) {
        self.username = username
        user = nil
        isActive = true
        isInitialized = false
        collections = []
        taken = [:]
    }

    /// An account of which only is asked whether it is there and active.
    package init(of user: UserID, isActive: Bool) {
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
    package var streams: [StreamID] { (user.map { [.user($0)] } ?? []) + collections.map { .collection($0) } }
}
