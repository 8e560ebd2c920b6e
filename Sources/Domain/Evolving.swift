// What an event makes of what the rules know: `evolve` of the states, and nothing else. Each event says here what it means for a
// collection, and what for an account.

extension CollectionState {
    /// Takes in what happened in the collection, which types the user of the command came to own elsewhere, and what its owner's other
    /// collections came to hold.
    package mutating func evolve(_ event: Event, at position: Position) {
        allowance?.evolve(event)
        switch event {
        case .collectionCreated(let event) where event.collection == uid:
            owner = event.owner
            apply(event.revision, of: ItemUID(event.collection.rawValue), at: position)
        case .itemCreated(let event) where event.collection == uid:
            apply(event.revision, of: event.item, at: position)
        case .itemRevised(let event) where event.collection == uid:
            apply(event.revision, of: event.item, at: position)
        case .itemRestored(let event) where event.collection == uid:
            makeCurrent(event.revision, of: event.item, at: position)
        case .chunkStored(let event) where event.collection == uid:
            chunks.insert(event.chunk.uid)
        case .revisionsPruned(let event) where event.collection == uid:
            for revision in event.revisions { (revisions[revision], known[revision]) = (nil, nil) }
            chunks.subtract(event.chunks)
        case .memberJoined(let event) where event.collection == uid:
            members[event.user] = .init(level: event.level, stoken: position)
            invitations.removeAll { $0.invitee == event.user }
            taken[.collectionType(event.collectionType)] = event.user
        case .memberLevelChanged(let event) where event.collection == uid:
            members[event.user] = .init(level: event.level, stoken: position)
        case .memberRemoved(let event) where event.collection == uid:
            members[event.user] = nil
            invitations.removeAll { $0.inviter == event.user }
        case .invitationSent(let event) where event.collection == uid:
            invitations.append(
                .init(uid: event.invitation, inviter: event.inviter, invitee: event.invitee, level: event.level))
        case .invitationWithdrawn(let event) where event.collection == uid:
            invitations.removeAll { $0.uid == event.invitation && $0.inviter == event.inviter && $0.invitee == event.invitee }
        case .userReset(let event) where event.collections.contains(uid):
            reset(by: event.user)
        case .userErased(let event) where event.collections.contains(uid):
            clear()
        case .memberJoined(let event):
            // The user's own type, first used in another collection.
            taken[.collectionType(event.collectionType)] = event.user
        case .collectionCreated, .itemCreated, .itemRevised, .itemRestored, .chunkStored, .revisionsPruned, .memberLevelChanged,
            .memberRemoved, .invitationSent, .invitationWithdrawn, .userReset, .userErased, .userCreated, .userInitialized,
            .passwordChanged, .userActivityChanged:
            break
        // They are in the read model as soon as they are in the log, so no decision is made between the two.
        case .recordsAdopted: break
        }
    }
}

extension UserState {
    /// Takes in what happened to the account.
    package mutating func evolve(_ event: Event, at position: Position) {
        switch event {
        case .userCreated(let event) where event.username.isExactly(username):
            user = UserID(rawValue: position.rawValue)
            isInitialized = event.keys != nil
        case .userInitialized(let event) where event.user == user:
            isInitialized = true
        case .userActivityChanged(let event) where event.user == user:
            isActive = event.isActive
        case .userReset(let event) where event.user == user:
            isInitialized = event.keys != nil
            collections.removeAll { event.collections.contains($0) }
        case .userErased(let event) where event.user == user:
            self = UserState(username: username)
        case .collectionCreated(let event) where event.owner == user:
            add(event.collection)
        case .memberJoined(let event) where event.user == user:
            add(event.collection)
        case .invitationSent(let event) where event.invitee == user:
            add(event.collection)
        case .userCreated, .userInitialized, .passwordChanged, .userActivityChanged, .userReset, .userErased, .collectionCreated,
            .itemCreated, .itemRevised, .itemRestored, .chunkStored, .revisionsPruned, .memberJoined, .memberLevelChanged, .memberRemoved,
            .invitationSent, .invitationWithdrawn, .recordsAdopted:
            break
        }
    }
}
