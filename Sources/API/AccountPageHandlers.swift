internal import Bulletin
internal import Database
internal import Domain
internal import EventLog
internal import Gateway
internal import Hummingbird
internal import NIOCore
internal import Pages
internal import ReadModel

/// Pages on which people look after their accounts. A visit is the login's that asked for the link: it may what that may, and ends with it.
extension API {
    private static let listed = 50

    /// `GET account/open/{secret}`
    func accountDoor(_ call: Call) async throws -> Response {
        try await isGood(.account, call) ? Answer.page(AccountPages.open) : Answer.page(AccountPages.closed, .notFound)
    }

    /// `POST account/open/{secret}`
    func enterAccount(_ call: Call) async throws -> Response {
        try await enter(.account, call) ?? Answer.page(AccountPages.closed, .notFound)
    }

    /// `GET account/`
    func accountPage(_ call: Call) async throws -> Response {
        try await account(call, depth: 0) { owner, pages in
            let sessions = try await sessions.list(of: owner.user.user, at: call.now)
            let found = try await readModel.snapshot { try $0.accountOverview(owner.user.user) }
            guard let account = found else { throw APIError.notFound }
            return Answer.page(
                pages.overview(
                    sessions.reversed().prefix(Self.listed).map { .init($0, isThis: $0.id == owner.user.session.id) },
                    collections: account.collections.shown, used: account.usedShown, quota: account.quotaShown(readModel.quota)))
        }
    }

    /// `POST account/device/`
    func signOutDevice(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await account(call, body, depth: 1) { owner, form, _ in
            let ended = try await sessions.list(of: owner.user.user, at: call.now).filter { $0.id == form["session"] }
            try await sessions.end(ended)
            realTime.bulletin.post(ended.map { .sessionEnded($0.id) })
            return Answer.seeOther("../?done=\(AccountPages.Notice.signedOut.rawValue)")
        }
    }

    /// `POST account/export/`: changes nothing, and is a form so that no other site can have it made.
    func exportAccount(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await account(call, body, depth: 1) { owner, _, _ in
            try await export(owner.username, to: call)
        }
    }

    /// `GET account/collections/`
    func accountCollections(_ call: Call) async throws -> Response {
        try await account(call, depth: 1) { owner, pages in
            let after = call.query["after"].flatMap { Int64($0) } ?? 0
            let page = try await readModel.snapshot { try $0.overview(of: owner.user.user, after: after, limit: Self.listed) }
            return Answer.page(pages.collections(page.elements.map { .init($0) }, next: page.isDone ? nil : page.elements.last?.place))
        }
    }

    /// `GET account/collection/{collection_uid}/`
    func accountCollection(_ call: Call) async throws -> Response {
        try await account(call, depth: 2) { owner, pages in
            try await collectionPage(owner, pages, call, fault: nil)
        }
    }

    /// `POST account/collection/{collection_uid}/restore/`
    func restoreInCollection(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await account(call, body, depth: 3) { owner, form, pages in
            do {
                let wish = try RestoringWish(form, at: call.now)
                // Whoever may not write learns nothing of what there was.
                try await readModel.snapshot { snapshot in
                    guard try snapshot.access(to: call.collection, by: owner.user.user).level.canWrite else { throw Refusal.noWriteAccess }
                }
                _ = try await door.restore(
                    call.collection, item: wish.item, asOf: wish.moment, author: owner.user.user, by: owner.user.actor, at: call.now)
                return Answer.seeOther("../?done=\(AccountPages.Notice.restored.rawValue)")
            } catch let fault as CollectionHistory.Unrestorable {
                return try await collectionPage(owner, pages, call, fault: fault.words)
            } catch let fault as RestoringWish.Mistake {
                return try await collectionPage(owner, pages, call, fault: fault.words)
            }
        }
    }

    private func collectionPage(_ owner: AccountVisit, _ pages: AccountPages, _ call: Call, fault: String?) async throws -> Response {
        let (collection, deleted) = try await readModel.snapshot { snapshot in
            let collection = try snapshot.overview(of: call.collection, for: owner.user.user)
            return (collection, try snapshot.deletedItems(of: call.collection, limit: Self.listed))
        }
        return Answer.page(
            pages.collection(
                .init(collection), deleted.map { .init($0) },
                isWritable: collection.level?.canWrite == true, fault: fault), fault == nil ? .ok : .conflict)
    }

    /// `GET account/activity/`
    func accountActivity(_ call: Call) async throws -> Response {
        try await account(call, depth: 1) { owner, pages in
            let end = call.query["before"].flatMap { Int64($0) }.map { Position(rawValue: $0) } ?? .last
            let (entries, next) = try await readModel.snapshot {
                try $0.activity(of: owner.user.user, before: end, limit: Self.listed)
            }
            return Answer.page(pages.activity(entries.map { ActivityEntry($0, for: owner.user.user) }, next: next?.rawValue))
        }
    }

    /// `GET account/delete/`
    func accountDeletion(_ call: Call) async throws -> Response {
        try await account(call, depth: 1) { owner, pages in try await deletionPage(owner, pages, fault: nil) }
    }

    /// `POST account/delete/`
    func deleteAccount(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await account(call, body, depth: 1) { owner, form, pages in
            guard CanonicalName(form["name"] ?? "") == CanonicalName(owner.username) else {
                return try await deletionPage(owner, pages, fault: "That is not your name. Nothing was deleted.")
            }
            try await steering.erase(owner.username, owner.user.user, true, owner.user.actor)
            return try await leave(.account, owner.visit, call, Answer.page(AccountPages.deleted))
        }
    }

    private func deletionPage(_ owner: AccountVisit, _ pages: AccountPages, fault: String?) async throws -> Response {
        let state = try await readModel.snapshot { try $0.state(ErasureNeeds(CanonicalName(owner.username))) }
        let going = state.erasure?.collections ?? []
        let staying = state.collections.count { !going.contains($0.uid) && $0.members[owner.user.user] != nil }
        return Answer.page(
            pages.delete(.init(going: going.count, staying: staying), fault: fault), fault == nil ? .ok : .badRequest)
    }

    /// `POST account/sign-out/`
    func leaveAccount(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await account(call, body, depth: 1) { owner, _, _ in
            try await leave(.account, owner.visit, call, Answer.page(AccountPages.left))
        }
    }

    // MARK: - Who

    /// Answers somebody who was let in with a page of their account.
    ///
    /// - Parameter depth: how many steps below the account's first page the request's path is.
    private func account(
        _ call: Call, depth: Int, _ answer: (AccountVisit, AccountPages) async throws -> Response
    ) async throws -> Response {
        guard settings.hasAccountPage, let owner = try await owner(call) else { return Answer.page(AccountPages.closed, .forbidden) }
        let notice = call.query["done"].flatMap { AccountPages.Notice(rawValue: $0) }
        return try await answer(
            owner, AccountPages(username: owner.username, formKey: owner.visit.formKey, depth: depth, notice: notice))
    }

    /// Answers a form of such a page.
    ///
    /// - Throws: ``APIError/foreignForm`` for one that is not from there.
    private func account(
        _ call: Call, _ body: ByteBuffer, depth: Int, _ answer: (AccountVisit, QueryString, AccountPages) async throws -> Response
    ) async throws -> Response {
        let form = QueryString(form: body)
        return try await account(call, depth: depth) { owner, pages in
            guard owner.visit.sent(form) else { throw APIError.foreignForm }
            return try await answer(owner, form, pages)
        }
    }

    /// Who visits an account; nil where the visit or its login has ended, or the account is kept out.
    private func owner(_ call: Call) async throws -> AccountVisit? {
        guard let visit = try await visit(.account, call), let token = visit.session.token else { return nil }
        let address = call.clientAddress(settings.addresses)
        return try await readModel.snapshot(.small) { [sessions] snapshot in
            guard let session = try sessions.session(token: token, at: call.now, snapshot), session.isActive,
                let account = try snapshot.account(session.user)
            else { return nil }
            call.log.isOf(session.user)
            return AccountVisit(
                visit: visit, user: Authenticated(session: session, token: token, address: address), username: account.username)
        }
    }
}

/// Somebody on the pages of the own account.
private struct AccountVisit: Sendable {
    let visit: PageVisit
    let user: Authenticated
    let username: String
}
