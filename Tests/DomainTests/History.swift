import Domain
import TestSupport
import Testing

/// What happened to one collection, with the state that was carried along, and what the log knows to be claimed.
struct History {
    private(set) var records: [(position: Position, event: Event)] = []
    private(set) var state = CollectionState(uid: notes)
    private var claimed: TakenClaims = [:]
    private var head = Position.none

    /// The state with all that is known to be taken.
    var informed: CollectionState {
        var state = state
        state.taken = claimed
        return state
    }

    init() {
        // Some revisions of other collections.
        for number in stride(from: 7, to: 2000, by: 31) { claimed[.revision(RevisionUID("r\(number)"))] = eve }
    }

    /// Decides as the log does when the caller has not looked what is taken: each time the decision makes a claim that is,
    /// it is told so, and asked again.
    func decideUninformed(_ wish: Wish) -> Result<[Event], Refusal> {
        var state = state
        while true {
            let answer = wish.decided(on: state)
            guard case .success(let events) = answer, let claim = firstTaken(of: events) else { return answer }
            guard state.taken[claim] == nil else {
                Issue.record("a decision claims what it knows to be taken: \(claim)")
                return answer
            }
            state.taken[claim] = claimed[claim]
        }
    }

    private func firstTaken(of events: [Event]) -> Claim? {
        events.flatMap(\.claims).first { made in
            guard let holder = claimed[made.claim] else { return false }
            return !(made.isRepeatable && holder == made.holder)
        }?.claim
    }

    /// Appends what one command decided; other collections' events lie between commands.
    mutating func append(_ events: [Event]) throws {
        head = head + 3
        for event in events {
            head = head + 1
            for made in event.claims {
                let holder = claimed.updateValue(made.holder ?? ada, forKey: made.claim)
                try #require(holder == nil || made.isRepeatable, "a key is claimed once")
            }
            state.evolve(event, at: head)
            records.append((head, event))
        }
        state.evolve(.created("a", Revision("x"), in: "elsewhere"), at: head + 1)
    }

    /// The state as it is read after `count` events, with only what `wish` names, brought up to date.
    func state(readAt count: Int, for wish: Wish) -> CollectionState {
        let picture = picture(at: count)
        var read = CollectionState(uid: notes)
        read.owner = picture.owner
        read.revisionStoken = picture.revisionStoken
        read.members = picture.members
        read.invitations = picture.invitations
        read.etags = picture.etags.filter { wish.items.contains($0.key) }
        read.revisions = picture.revisions.filter { wish.revisions.contains($0.key) }
        read.known = known(at: count).filter { wish.offered.contains($0.key) }
        read.chunks = picture.chunks.intersection(wish.chunks)
        read.taken = claimed
        for record in records.dropFirst(count) { read.evolve(record.event, at: record.position) }
        return read
    }
}

/// A collection in other words than the rules': what each of its parts was last said to be.
struct Picture: Equatable {
    var owner: UserID?
    var revisionStoken = Position.none
    var stoken = Position.none
    var members: [UserID: CollectionState.Membership] = [:]
    var invitations: [CollectionState.Invitation] = []
    var etags: [ItemUID: RevisionUID] = [:]
    var revisions: [RevisionUID: ItemUID] = [:]
    var chunks: Set<ChunkUID> = []

    init() {}

    init(of state: CollectionState) {
        (owner, revisionStoken, stoken) = (state.owner, state.revisionStoken, state.stoken)
        (members, invitations, etags, chunks) = (state.members, state.invitations, state.etags, state.chunks)
        revisions = state.revisions
    }
}

extension History {
    /// The content of the revisions that the collection has after the first `count` events.
    func known(at count: Int) -> [RevisionUID: CollectionState.KnownRevision] {
        let isThere = picture(at: count).revisions
        let found = records.prefix(count).compactMap(\.event.revision).map { item, revision in
            (
                revision.uid,
                CollectionState.KnownRevision(item: item, meta: revision.meta, isDeleted: revision.isDeleted, chunks: revision.chunks)
            )
        }
        return Dictionary(found) { $1 }.filter { isThere[$0.key] != nil }
    }

    /// The collection after the first `count` events.
    func picture(at count: Int) -> Picture {
        let records = records.prefix(count)
        var picture = Picture()
        for case .collectionCreated(let event) in records.map(\.event) { picture.owner = event.owner }
        guard let owner = picture.owner, !records.contains(where: { $0.event.resets(owner) }) else { return Picture() }
        for record in records {
            if case .itemRestored(let event) = record.event {
                picture.etags[event.item] = event.revision
                picture.revisionStoken = record.position
            }
            guard let (item, revision) = record.event.revision else { continue }
            picture.etags[item] = revision.uid
            picture.revisions[revision.uid] = item
            picture.revisionStoken = record.position
            picture.chunks.formUnion(revision.stored.map(\.uid))
        }
        for case .chunkStored(let event) in records.map(\.event) { picture.chunks.insert(event.chunk.uid) }
        for user in Set(records.compactMap(\.event.member)) {
            guard let last = records.last(where: { $0.event.member == user }), let level = last.event.level else { continue }
            picture.members[user] = .init(level: level, stoken: last.position)
        }
        for (index, record) in records.enumerated() {
            guard case .invitationSent(let sent) = record.event else { continue }
            guard !records.dropFirst(index + 1).contains(where: { $0.event.ends(sent) }) else { continue }
            picture.invitations.append(.init(uid: sent.invitation, inviter: sent.inviter, invitee: sent.invitee, level: sent.level))
        }
        picture.stoken = ([picture.revisionStoken] + picture.members.values.map(\.stoken)).max() ?? .none
        return picture
    }
}

extension Event {
    fileprivate var revision: (item: ItemUID, revision: Revision)? {
        if case .collectionCreated(let event) = self { return (ItemUID(event.collection.rawValue), event.revision) }
        if case .itemCreated(let event) = self { return (event.item, event.revision) }
        if case .itemRevised(let event) = self { return (event.item, event.revision) }
        return nil
    }

    /// Whose membership it changes.
    fileprivate var member: UserID? {
        if case .memberJoined(let event) = self { return event.user }
        if case .memberLevelChanged(let event) = self { return event.user }
        if case .memberRemoved(let event) = self { return event.user }
        if case .userReset(let event) = self { return event.user }
        return nil
    }

    /// The level that it gives the member; nil where it ends the membership.
    fileprivate var level: AccessLevel? {
        if case .memberJoined(let event) = self { return event.level }
        if case .memberLevelChanged(let event) = self { return event.level }
        return nil
    }

    fileprivate func resets(_ user: UserID) -> Bool {
        if case .userReset(let event) = self { event.user == user } else { false }
    }

    fileprivate func ends(_ sent: InvitationSent) -> Bool {
        if case .memberJoined(let event) = self { return event.user == sent.invitee }
        if case .memberRemoved(let event) = self { return event.user == sent.inviter }
        if case .userReset(let event) = self { return event.user == sent.inviter || event.user == sent.invitee }
        guard case .invitationWithdrawn(let event) = self else { return false }
        return event.invitation == sent.invitation && event.inviter == sent.inviter && event.invitee == sent.invitee
    }
}
