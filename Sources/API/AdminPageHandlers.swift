internal import Bulletin
internal import Database
internal import Domain
internal import EventLog
internal import Foundation
internal import Gateway
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import Pages
internal import ReadModel
internal import Sodium

/// Pages on which whoever runs the server looks after it. Everything that is changed there is an event, or else in a list of its own; the
/// list tells of the events too, with who was let in.
extension API {
    private static let listed = 50
    private static let exported = 10_000
    private static let invitationTime: Int64 = 7 * 86_400 * 1_000_000

    // MARK: - In and out

    /// `GET admin/open/{secret}`
    func adminDoor(_ call: Call) async throws -> Response {
        try await isGood(.admin, call) ? Answer.page(AdminPages.open) : Answer.page(AdminPages.closed, .notFound)
    }

    /// `POST admin/open/{secret}`
    func enterAdmin(_ call: Call) async throws -> Response {
        try await enter(.admin, call) ?? Answer.page(AdminPages.closed, .notFound)
    }

    /// `POST admin/sign-out/`
    func leaveAdmin(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        // Also who may not change anything may leave.
        try await admin(call, depth: 1) { admin, _ in
            guard admin.visit.sent(QueryString(form: body)) else { throw APIError.foreignForm }
            return try await leave(.admin, admin.visit, call, Answer.page(AdminPages.left))
        }
    }

    // MARK: - Overview, settings, diagnostics

    /// `GET admin/`
    func adminOverview(_ call: Call) async throws -> Response {
        try await admin(call, depth: 0) { _, pages in
            let (warnings, facts) = try await steering.overview()
            return Answer.page(pages.overview(warnings: warnings, facts: facts, trends: steering.trends()))
        }
    }

    /// `GET admin/settings/`
    func adminSettings(_ call: Call) async throws -> Response {
        try await admin(call, depth: 1) { _, pages in Answer.page(pages.settings(steering.settings)) }
    }

    /// `GET admin/diagnostics/`
    func adminDiagnostics(_ call: Call) async throws -> Response {
        try await admin(call, depth: 1) { _, pages in Answer.page(pages.diagnostics(nil)) }
    }

    /// `POST admin/diagnostics/`: changes nothing, so staff may ask too.
    func diagnose(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await admin(call, depth: 1) { admin, pages in
            guard admin.visit.sent(QueryString(form: body)) else { throw APIError.foreignForm }
            return Answer.page(pages.diagnostics(await steering.diagnose()))
        }
    }

    // MARK: - Users

    /// `GET admin/users/`
    func adminUsers(_ call: Call) async throws -> Response {
        try await admin(call, depth: 1) { _, pages in try await usersPage(pages, call) }
    }

    private func usersPage(
        _ pages: AdminPages, _ call: Call, link: String? = nil, after attempt: AdminPages.Attempt? = nil
    ) async throws -> Response {
        let start = CanonicalName(call.query["name"] ?? "").text
        let after = call.query["after"] ?? ""
        let page = try await readModel.snapshot { try $0.accounts(startingWith: start, after: after, limit: Self.listed) }
        let invitations = try await signupLinks.pending(at: call.now).prefix(Self.listed)
        return Answer.page(
            pages.users(
                page.elements.map { .init($0, readModel.quota) }, startingWith: start,
                next: page.isDone ? nil : page.elements.last?.username,
                invitations.map { .init($0) }, link: link, after: attempt), attempt == nil ? .ok : .badRequest)
    }

    /// `POST admin/users/create/`
    func createUser(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await admin(call, body, depth: 2) { admin, form, pages in
            let name = (form["name"] ?? "").trimmingCharacters(in: .whitespaces)
            let email = (form["email"] ?? "").trimmingCharacters(in: .whitespaces)
            let command = CreateUser(
                username: name, email: email, keys: nil, passwordSalt: Sodium.randomAlphanumerics(40), mayCreate: true)
            do {
                let events = try await door.commit(command, by: admin.actor, at: call.now)
                try await note("create", user: events.first.map { UserID(rawValue: $0.position.rawValue) }, admin, call)
            } catch let refusal as Refusal {
                return try await usersPage(pages, call, after: .init(name: name, email: email, fault: refusal.words))
            }
            return Answer.seeOther("../?done=\(AdminPages.Notice.created.rawValue)")
        }
    }

    /// `POST admin/users/invite/`
    func inviteUser(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await admin(call, body, depth: 2) { admin, _, pages in
            let until = Timestamp(rawValue: call.now.rawValue + Self.invitationTime)
            let made = try await signupLinks.make(for: nil, uses: 1, until: until, at: call.now)
            guard let made else { throw APIError.unavailable }
            try await note("invite", thing: made.link.id, admin, call)
            return try await usersPage(pages, call, link: "\(address(call))/join/\(made.secret)")
        }
    }

    /// `POST admin/users/withdraw/`
    func withdrawSignupLink(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await admin(call, body, depth: 2) { admin, form, _ in
            let link = form["link"] ?? ""
            if try await signupLinks.withdraw(link) { try await note("withdraw", thing: link, admin, call) }
            return Answer.seeOther("../?done=\(AdminPages.Notice.withdrawn.rawValue)")
        }
    }

    /// `GET admin/user/{id}/`
    func adminUser(_ call: Call) async throws -> Response {
        try await admin(call, depth: 2) { _, pages in
            let user = try user(call)
            let (account, collections) = try await readModel.snapshot { snapshot in
                (try snapshot.accountOverview(user), try snapshot.overview(of: user, limit: Self.listed))
            }
            guard let account else { throw APIError.notFound }
            let sessions = try await sessions.list(of: user, at: call.now)
            return Answer.page(
                pages.user(
                    .init(account, readModel.quota), sessions.reversed().prefix(Self.listed).map { .init($0, isThis: false) },
                    collections.elements.map { .init($0) }))
        }
    }

    /// `GET admin/user/{id}/{action}/`: what would happen.
    func confirmAction(_ call: Call) async throws -> Response {
        try await admin(call, depth: 3) { _, pages in
            let (account, action) = (try await account(call), try action(call))
            return try await confirmation(pages, action, account, fault: nil)
        }
    }

    private func confirmation(
        _ pages: AdminPages, _ action: AdminPages.Action, _ account: AccountOverview, after form: QueryString? = nil, fault: String?
    ) async throws -> Response {
        var extent: [AdminPages.Fact] = []
        if action.isFinal {
            let state = try await readModel.snapshot { try $0.state(ErasureNeeds(CanonicalName(account.username))) }
            let going = action == .erase ? state.erasure?.collections ?? [] : Set(state.lostByReset)
            let shared = state.collections.count { !going.contains($0.uid) && $0.members[account.user] != nil }
            extent = [
                .init("Collections that go", "\(going.count)"), .init("Collections that stay with others", "\(shared)"),
                .init("Sessions that end", account.sessions.shown),
            ]
        }
        var limits: AdminPages.Limits?
        if action == .quota {
            extent = [.init("Own collections hold", account.usedShown), .init("Quota", account.quotaShown(readModel.quota))]
            limits = form.map { .init($0) } ?? .init(account.quota ?? readModel.quota)
        }
        return Answer.page(
            pages.confirm(action, .init(account, readModel.quota), extent, limits: limits, fault: fault), fault == nil ? .ok : .badRequest)
    }

    /// `POST admin/user/{id}/{action}/`
    func carryOut(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await admin(call, body, depth: 3) { admin, form, pages in
            let (account, action) = (try await account(call), try action(call))
            let typed = CanonicalName(form["name"] ?? "") == CanonicalName(account.username)
            guard !action.isFinal || typed else {
                return try await confirmation(pages, action, account, fault: "That is not the name. Nothing was done.")
            }
            if action == .export {
                let response = try await export(account.username, to: call)
                try await note(action.rawValue, user: account.user, admin, call)
                return response
            }
            if action == .erase { return try await order(.erase, account.user, admin, call, at: "../../../") }
            let wish = QuotaWish(form)
            do { try await carryOut(action, account, wish, admin, call) } catch let refusal as Refusal {
                return try await confirmation(pages, action, account, fault: refusal.words)
            } catch is Unset {
                let fault = "Limits are numbers above 0, bytes also with a unit, such as 5GB or 500MB. Nothing was set."
                return try await confirmation(pages, action, account, after: form, fault: fault)
            }
            try await note(action.rawValue, user: account.user, thing: action == .quota ? wish?.shown : nil, admin, call)
            return Answer.seeOther("../?done=\(action.rawValue)")
        }
    }

    private func carryOut(
        _ action: AdminPages.Action, _ account: AccountOverview, _ wish: QuotaWish?, _ admin: AdminVisit, _ call: Call
    ) async throws {
        switch action {
        case .disable, .enable:
            try await door.commit(
                ChangeUserActivity(username: account.username, isActive: action == .enable), by: admin.actor, at: call.now)
        case .endSessions:
            let ended = try await sessions.list(of: account.user, at: call.now)
            try await sessions.end(ended)
            realTime.bulletin.post(ended.map { .sessionEnded($0.id) })
        case .quota:
            guard let wish else { throw Unset() }
            try await quotas.set(wish.quota, of: account.user)
        case .reset: try await door.reset(ResetAccount(username: account.username), by: admin.actor, at: call.now)
        case .export, .erase: preconditionFailure("it is done elsewhere")
        }
        realTime.bulletin.post([.userChanged(account.user)])
    }

    // MARK: - Collections

    /// `GET admin/collections/`
    func adminCollections(_ call: Call) async throws -> Response {
        try await admin(call, depth: 1) { _, pages in
            let after = call.query["after"].flatMap { Int64($0) } ?? 0
            let page = try await readModel.snapshot { try $0.collectionOverviews(after: after, limit: Self.listed) }
            return Answer.page(pages.collections(page.elements.map { .init($0) }, next: page.isDone ? nil : page.elements.last?.place))
        }
    }

    /// `GET admin/collection/{collection_uid}/`
    func adminCollection(_ call: Call) async throws -> Response {
        try await admin(call, depth: 2) { _, pages in try await collectionPage(pages, call, fault: nil) }
    }

    private func collectionPage(_ pages: AdminPages, _ call: Call, fault: String?) async throws -> Response {
        let (collection, deleted) = try await readModel.snapshot { snapshot in
            (try snapshot.overview(of: call.collection), try snapshot.deletedItems(of: call.collection, limit: Self.listed))
        }
        guard let collection else { throw APIError.notFound }
        return Answer.page(
            pages.collection(.init(collection), deleted.map { .init($0) }, fault: fault), fault == nil ? .ok : .conflict)
    }

    /// `POST admin/collection/{collection_uid}/restore/`
    func restoreAsOperator(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await admin(call, body, depth: 3) { admin, form, pages in
            do {
                let wish = try RestoringWish(form, at: call.now)
                _ = try await door.restore(
                    call.collection, item: wish.item, asOf: wish.moment, author: nil, by: admin.actor, at: call.now)
            } catch let fault as CollectionHistory.Unrestorable {
                return try await collectionPage(pages, call, fault: fault.words)
            } catch let fault as RestoringWish.Mistake {
                return try await collectionPage(pages, call, fault: fault.words)
            }
            try await note("restore", thing: call.collection.rawValue, admin, call)
            return Answer.seeOther("../?done=\(AdminPages.Notice.restored.rawValue)")
        }
    }

    // MARK: - Activity

    /// `GET admin/activity/`
    func adminActivity(_ call: Call) async throws -> Response {
        try await admin(call, depth: 1) { _, pages in
            let acts = try await adminActs.newest(limit: Self.listed)
            let found: (entries: [AuditEntry], next: Position?)
            var fault: String?
            do { found = try await activity(call, before: call.query.before, limit: Self.listed) } catch let mistake
                as RestoringWish.Mistake
            {
                (found, fault) = (([], nil), mistake.words)
            }
            return Answer.page(
                pages.activity(
                    found.entries.map { ActivityEntry($0, for: nil) }, acts: acts.map { ActivityEntry($0) }, user: call.query["user"] ?? "",
                    collection: call.query["collection"] ?? "", next: found.next?.rawValue, fault: fault))
        }
    }

    /// `GET admin/activity.csv` and `GET admin/activity.jsonl`
    func adminActivityFile(_ call: Call, _ form: AuditFile) async throws -> Response {
        try await admin(call, depth: 0) { _, _ in
            var (text, end, count) = (form.head, call.query.before, 0)
            do {
                while count < Self.exported {
                    let (entries, next) = try await activity(call, before: end, limit: 1000)
                    text += entries.map { form.line($0) }.joined()
                    count += 1000
                    guard let next else { break }
                    end = next
                }
            } catch is RestoringWish.Mistake { throw APIError.notFound }
            var response = Answer.text(.ok, text, type: form.mediaType)
            response.headers[.contentDisposition] = "attachment; filename=\"\(form.fileName)\""
            response.headers[.cacheControl] = "no-store"
            response.headers[.xContentTypeOptions] = "nosniff"
            return response
        }
    }

    /// What has happened, to what the query names.
    private func activity(_ call: Call, before end: Position, limit: Int) async throws -> (entries: [AuditEntry], next: Position?) {
        let (name, uid) = (call.query["user"] ?? "", call.query["collection"] ?? "")
        return try await readModel.snapshot { snapshot in
            if !uid.isEmpty { return try snapshot.newest(of: .collection(CollectionUID(uid)), before: end, limit: limit) }
            guard !name.isEmpty else { return try snapshot.newest(of: nil, before: end, limit: limit) }
            guard let account = try snapshot.account(named: CanonicalName(name)) else {
                throw RestoringWish.Mistake(words: "There is no user of this name.")
            }
            return try snapshot.activity(of: account.user, before: end, limit: limit, withOthers: false)
        }
    }

    // MARK: - Who

    private func user(_ call: Call) throws -> UserID {
        guard let id = Int64(call.parameter("id")) else { throw APIError.notFound }
        return UserID(rawValue: id)
    }

    private func account(_ call: Call) async throws -> AccountOverview {
        let user = try user(call)
        let found = try await readModel.snapshot { try $0.accountOverview(user) }
        guard let account = found, !account.isErased else { throw APIError.notFound }
        return account
    }

    private func action(_ call: Call) throws -> AdminPages.Action {
        guard let action = AdminPages.Action(rawValue: call.parameter("action")) else { throw APIError.notFound }
        return action
    }

    func note(_ action: String, user: UserID? = nil, thing: String? = nil, _ admin: AdminVisit, _ call: Call) async throws {
        try await adminActs.note(action, user: user, thing: thing, in: admin.visit.session.name, by: admin.user, at: call.now)
    }

    /// Answers somebody who was let in with a page.
    ///
    /// - Parameter depth: how many steps below the area's first page the request's path is.
    func admin(
        _ call: Call, depth: Int, _ answer: (AdminVisit, AdminPages) async throws -> Response
    ) async throws -> Response {
        guard let admin = try await admin(call) else { return try await adminClosed(depth: depth) }
        let notice = call.query["done"].flatMap { AdminPages.Notice(rawValue: $0) }
        let pages = AdminPages(who: admin.name, mayChange: admin.mayChange, formKey: admin.visit.formKey, depth: depth, notice: notice)
        return try await answer(admin, pages)
    }

    /// Answers a form that changes something.
    ///
    /// - Throws: ``APIError/foreignForm`` for one that is not from there.
    func admin(
        _ call: Call, _ body: ByteBuffer, depth: Int, _ answer: (AdminVisit, QueryString, AdminPages) async throws -> Response
    ) async throws -> Response {
        let form = QueryString(form: body)
        return try await admin(call, depth: depth) { admin, pages in
            guard admin.visit.sent(form) else { throw APIError.foreignForm }
            guard admin.mayChange else { return Answer.page(AdminPages.readOnly, .forbidden) }
            return try await answer(admin, form, pages)
        }
    }

    /// Who visits; nil where the visit has ended, or whoever had logged in may not any more.
    private func admin(_ call: Call) async throws -> AdminVisit? {
        guard let visit = try await visit(.admin, call) else { return nil }
        let address = call.clientAddress(settings.addresses)
        guard let user = visit.session.user else {
            return AdminVisit(visit: visit, user: nil, name: "by link", mayChange: true, address: address)
        }
        let found = try await readModel.snapshot(.small) { try $0.staff(user) }
        guard let staff = found, staff.isActive, staff.mayLook else { return nil }
        return AdminVisit(visit: visit, user: user, name: staff.username, mayChange: staff.isSuperuser, address: address)
    }

    private func adminClosed(depth: Int, _ fault: String? = nil, _ status: HTTPResponse.Status = .forbidden) async throws -> Response {
        let hasPasswords = try await readModel.snapshot(.small) { try $0.isAdopted() }
        let path = String(repeating: "../", count: depth) + "login/"
        return Answer.page(hasPasswords ? AdminPages.logIn(at: path, fault) : AdminPages.closed, status)
    }

    // MARK: - Passwords

    /// `POST admin/login/`: as a superuser or staff of an adopted database, with the password of the original's admin pages.
    func logInAsStaff(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        let form = QueryString(form: body)
        let (name, password) = (form["name"] ?? "", form["password"] ?? "")
        let attempt = Attempt(name: "admin " + CanonicalName(name).text, address: call.countedAddress(settings))
        do { try await limits.login(attempt, at: call.now) } catch {
            call.log.loginFailed(error)
            var response = try await adminClosed(depth: 1, error.detail, error.status)
            response.headers[.retryAfter] = error.headers[.retryAfter]
            return response
        }
        let staff = try await readModel.snapshot(.small) { snapshot in
            try snapshot.isAdopted() ? try snapshot.staff(named: name) : nil
        }
        // A name that nobody has takes as long as one with another password.
        let stored = staff?.password ?? DjangoPassword.nobodys
        let isRight = await withTaskExecutorPreference(HeavyWork.shared) { DjangoPassword.matches(password, stored) }
        guard isRight, let staff, staff.isActive, staff.mayLook else {
            await limits.failed(attempt, at: call.now)
            return try await adminClosed(depth: 1, "Name or password are wrong, or the account is neither a superuser nor of the staff.")
        }
        await limits.succeeded(attempt, at: call.now)
        let secret = try await pageKeys.logIn(staff.user, goodFor: PageArea.admin.visitTime, at: call.now)
        return entered(.admin, with: secret, at: "../", call)
    }
}

/// A form does not say what quota is to be set.
private struct Unset: Error {}

/// Somebody on the admins' pages.
struct AdminVisit: Sendable {
    let visit: PageVisit
    /// Who has logged in; nil for whoever came by a link of the command line.
    let user: UserID?
    let name: String
    let mayChange: Bool
    let address: String?

    /// Who did what is done there.
    var actor: Actor { Actor(user: user, session: visit.session.name, address: user == nil ? nil : address) }
}

extension QueryString {
    /// What a page of what has happened is before.
    fileprivate var before: Position { self["before"].flatMap { Int64($0) }.map { Position(rawValue: $0) } ?? .last }
}

extension AdminPages.User {
    /// - Parameter quota: what holds for all who have none of their own.
    fileprivate init(_ account: AccountOverview, _ quota: Quota) {
        let state: AdminPages.UserState =
            account.isErased ? .erased : !account.isActive ? .disabled : account.isInitialized ? .active : .uninitialized
        self.init(
            id: account.user.rawValue, name: account.username.visible, email: account.email.visible, state: state,
            lastLogin: account.lastLogin.map { $0.prefix(16) + " UTC" } ?? "never", sessions: account.sessions.shown,
            collections: account.collections.shown, bytes: account.bytesShown(quota), used: account.usedShown,
            quota: account.quotaShown(quota))
    }
}

extension AdminPages.Invitation {
    fileprivate init(_ link: SignupLink) {
        self.init(
            id: link.id, name: link.username?.visible, uses: "\(link.used) of \(link.uses) used",
            expires: link.expiresAt.map { "until \($0.shown)" } ?? "until it is withdrawn")
    }
}

extension ActivityEntry {
    fileprivate init(_ act: AdminAct) {
        let details = [("user", act.user?.visible), ("of", act.thing), ("visit", act.session)]
        self.init(
            time: act.time.shown, what: act.action, who: act.admin?.visible ?? "whoever came by a link",
            details: details.compactMap { name, value in value.map { (name, $0) } })
    }
}
