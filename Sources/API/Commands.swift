internal import Database
internal import Domain
internal import EventLog
internal import ReadModel

extension API {
    /// Carries out a command of the request's user: in one snapshot the user is authenticated, the command is made, and what it
    /// needs to know is read.
    ///
    /// - Parameters:
    ///   - admit: whether the user may have a command decided that can be made.
    ///   - make: the command; may run several times.
    func commit<C: Command>(
        _ call: Call, admit: (Authenticated) async throws -> Void = { _ in },
        _ make: @escaping @Sendable (Snapshot, Authenticated) throws -> C
    ) async throws where C.Needs: ReadNeeds {
        let (user, prepared) = try await prepare(call, .small) { snapshot, user in (user, try snapshot.prepare(make(snapshot, user))) }
        try await admit(user)
        try await door.commit(prepared, by: user.actor, at: call.now, holding: call.body.heldBytes)
    }

    /// Carries out a command of the request's user that brings contents of chunks; those that it stores are written with it.
    ///
    /// - Parameters:
    ///   - ahead: what making the command and preparing it will ask, as far as is known; nil where too little is.
    ///   - make: the command and the contents; may run several times.
    func commitWithContents<C: Command>(
        _ call: Call, ahead: ((inout Ahead) -> Void)? = nil,
        _ make: @escaping @Sendable (Snapshot, Authenticated) throws -> (C, [ChunkUID: [UInt8]])
    ) async throws where C.Needs == CollectionNeeds {
        let (user, prepared, contents) = try await prepare(call, .small, ahead: ahead) { snapshot, user in
            let (command, contents) = try make(snapshot, user)
            return (user, try snapshot.prepare(command), contents)
        }
        // The body holds all that came; a raw one is not parsed, and is a content itself.
        let bytes = max(call.body.heldBytes, contents.values.reduce(0) { $0 + $1.count })
        try await door.commit(prepared, with: contents, by: user.actor, at: call.now, holding: bytes)
    }
}

extension Snapshot {
    /// Looks whether the user may write: who may not is told so before what is wrong with the rest of the request.
    ///
    /// - Throws: `Refusal` where not.
    func requireWriteAccess(to collection: CollectionUID, by user: UserID) throws {
        try state(CollectionNeeds(collection)).requireWriteAccess(user)
    }
}
