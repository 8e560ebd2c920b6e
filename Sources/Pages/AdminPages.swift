/// The pages on which whoever runs a server looks after it. All that they say is here.
package struct AdminPages: Sendable {
    /// Something with its value.
    package struct Fact: Sendable {
        let name: String
        let value: String

        package init(_ name: String, _ value: String) { (self.name, self.value) = (name, value) }
    }

    /// An account.
    package struct User: Sendable {
        let id: Int64
        let name: String
        let email: String
        let state: UserState
        let lastLogin: String
        let sessions: String
        let collections: String
        /// How much is in use, in short, and in full.
        let bytes: String
        let used: String
        let quota: String

        package init(
            id: Int64, name: String, email: String, state: UserState, lastLogin: String, sessions: String, collections: String,
            bytes: String, used: String, quota: String
        ) {
            (self.id, self.name, self.email, self.state) = (id, name, email, state)
            (self.lastLogin, self.sessions, self.collections) = (lastLogin, sessions, collections)
            (self.bytes, self.used, self.quota) = (bytes, used, quota)
        }
    }

    package enum UserState: String, Sendable {
        case active
        case uninitialized = "not set up yet"
        case disabled
        case erased
    }

    /// A link with which accounts can be made.
    package struct Invitation: Sendable {
        let id: String
        let name: String?
        let uses: String
        let expires: String

        package init(id: String, name: String?, uses: String, expires: String) {
            (self.id, self.name, self.uses, self.expires) = (id, name, uses, expires)
        }
    }

    /// Something that can be done to an account.
    package enum Action: String, CaseIterable, Sendable {
        case disable
        case enable
        case endSessions = "end-sessions"
        case quota
        case export
        case reset
        case erase

        /// Whether there is something to be done to an account in a state.
        package func applies(to state: UserState) -> Bool {
            switch self {
            case .disable: state == .active || state == .uninitialized
            case .enable: state == .disabled
            case .endSessions: state == .active || state == .disabled
            case .reset: state == .active
            case .quota, .export, .erase: state != .erased
            }
        }

        /// Whether it cannot be undone, so that the name must be typed.
        package var isFinal: Bool { self == .reset || self == .erase }

        var title: String {
            switch self {
            case .disable: "Disable"
            case .enable: "Enable"
            case .endSessions: "End all sessions"
            case .quota: "Set the quota"
            case .export: "Export"
            case .reset: "Reset"
            case .erase: "Erase"
            }
        }

        fileprivate var consequences: String {
            switch self {
            case .disable:
                "The user is kept out: no app can read or write anything, and nobody can log in. Nothing is deleted; enabling the account lets the user in again."
            case .enable: "The user can log in again, and apps that were not logged out go on where they were."
            case .endSessions:
                "Every app of the user is logged out, at once. The user logs in again with the password. What devices have fetched stays on them."
            case .quota:
                "How much the collections may hold that the user owns, whoever writes there: deleted items and kept revisions count too. It holds at once. Apps are refused what goes beyond; what only deletes is let through."
            case .export:
                "Downloads what is stored of the user in one file (tar): lines of JSON for each kind of thing, a file for each encrypted content, and a README in plain words. It changes nothing. The data is encrypted: only the user’s apps can read it. Tokens and hashes of passwords are not in it. The same as apus user export."
            case .reset:
                "For a forgotten password: nobody can read the data without it. The account is emptied; the name and the email address stay, and the user signs up again with a new password. This cannot be undone."
            case .erase:
                "The account goes for good, with everything that is only this user’s, from the history too. This cannot be undone but from a backup. It is done as a job, whose page tells how far it is. On SQLite, apus user erase also writes the file anew, so that no remains stay on the disk."
            }
        }
    }

    /// What has just been done.
    package enum Notice: String, Sendable {
        case unstoppable
        case created, withdrawn, restored
        case disable, enable, quota, reset
        case endSessions = "end-sessions"

        fileprivate var text: String {
            switch self {
            case .unstoppable: "It has ended already, or cannot be stopped any more."
            case .created: "The account is made. Its user signs up in the app with this name."
            case .withdrawn: "The invitation is withdrawn."
            case .restored: "It is back. Apps fetch it when they sync."
            case .disable: "The user is kept out."
            case .enable: "The user is let in again."
            case .quota: "The quota is set, and holds."
            case .reset: "The account is empty: its user signs up again with the name."
            case .endSessions: "All sessions are ended."
            }
        }
    }

    let shell: Shell
    /// Whether things can be changed; otherwise they are only shown.
    let mayChange: Bool

    /// - Parameters:
    ///   - who: who has come in.
    ///   - formKey: what is sent with each form.
    ///   - depth: how many steps below the area's first page the page is.
    ///   - notice: what has just been done.
    package init(who: String, mayChange: Bool, formKey: String, depth: Int, notice: Notice?) {
        self.mayChange = mayChange
        let places = [
            ("Overview", ""), ("Users", "users/"), ("Collections", "collections/"), ("Activity", "activity/"),
            ("Log", "log/"), ("Backups", "backups/"), ("Settings", "settings/"), ("Diagnostics", "diagnostics/"),
        ]
        shell = Shell(
            "Apus – \(who)", places.map { Shell.Place(title: $0.0, path: $0.1) }, formKey: formKey, depth: depth, notice: notice?.text)
    }

    static func list(_ facts: [Fact]) -> HTML {
        "<dl>\n\(facts.map { "<dt>\($0.name)</dt><dd>\($0.value)</dd>\n" as HTML })</dl>"
    }

    static func rows(_ rows: [HTML]) -> HTML {
        rows.isEmpty ? "<p>There are none.</p>" : "<ul class=\"rows\">\n\(rows)</ul>"
    }

    private static func error(_ fault: String?) -> HTML? {
        fault.map { "<p class=\"error\" role=\"alert\">\($0)</p>\n" }
    }
}

// MARK: - Overview, settings, diagnostics

extension AdminPages {
    /// The first page: what should be seen to, then how things are.
    ///
    /// - Parameter trends: how it was in the last hour, in this process.
    package func overview(warnings: [String], facts: [Fact], trends: [Trend]) -> WebPage {
        let first: HTML =
            warnings.isEmpty
            ? "<p class=\"notice\">Nothing needs to be seen to.</p>"
            : "<ul>\n\(warnings.map { "<li class=\"error\">\($0)</li>\n" as HTML })</ul>"
        return shell.page(
            "Overview", at: "",
            """
            <h2>To be seen to</h2>
            \(first)
            <h2>How it is</h2>
            \(Self.list(facts))
            <h2>The last hour</h2>
            <p>Of the process that has answered you, a bar for each minute, the last one at the right.</p>
            <div class="charts">
            \(trends.map(\.chart))</div>
            """)
    }

    package struct Setting: Sendable {
        let name: String
        let value: String
        let source: String
        let summary: String

        package init(name: String, value: String, source: String, summary: String) {
            (self.name, self.value, self.source, self.summary) = (name, value, source, summary)
        }
    }

    /// The settings, and where each comes from. They are changed where they come from, and by a restart.
    package func settings(_ settings: [Setting]) -> WebPage {
        shell.page(
            "Settings", at: "settings/",
            """
            <p>As this process was started with them. Secrets are not shown. To change one, change it where it comes from, and restart.</p>
            <ul class="rows">
            \(settings.map { setting in
                """
                <li><div><strong>\(setting.name)</strong> <code>\(setting.value)</code> <span class="mark">\(setting.source)</span><br>
                <small>\(setting.summary)</small></div></li>

                """ as HTML
            })</ul>
            """)
    }

    package struct Finding: Sendable {
        let number: Int
        let title: String
        let result: String
        let found: String
        let meaning: String?
        let remedy: String?

        package init(number: Int, title: String, result: String, found: String, meaning: String?, remedy: String?) {
            (self.number, self.title, self.result) = (number, title, result)
            (self.found, self.meaning, self.remedy) = (found, meaning, remedy)
        }
    }

    /// What the doctor has found; nil before it has looked.
    package func diagnostics(_ findings: [Finding]?) -> WebPage {
        let found: HTML? = findings.map { findings in
            """
            <h2>What was found</h2>
            <ul class="rows">
            \(findings.map { finding in
                """
                <li><div><strong>\(finding.number) \(finding.title)</strong> <span class="mark">\(finding.result)</span><br>\(finding.found)
                \(finding.meaning.map { "<br><small>Means: \($0)</small>" as HTML })\(finding.remedy.map { "<br><small>Mend: \($0)</small>" as HTML })</div></li>

                """ as HTML
            })</ul>
            <h2>A report to copy</h2>
            <p>For whoever helps you: numbers and results only, no names, addresses or secrets.</p>
            <pre>\(findings.map { "\($0.number) \($0.result)\n" as HTML })</pre>
            """
        }
        return shell.page(
            "Diagnostics", at: "diagnostics/",
            """
            <p>The doctor looks at what goes wrong with servers in practice, from inside: the same as <code>apus doctor</code>. It changes \
            nothing, and takes up to a minute.</p>
            \(shell.form("diagnostics/", "Look now"))
            \(found)
            """)
    }
}

// MARK: - Users

extension AdminPages {
    /// What stands in the form for a new account, and what is wrong with it.
    package struct Attempt: Sendable {
        let name: String
        let email: String
        let fault: String

        package init(name: String, email: String, fault: String) { (self.name, self.email, self.fault) = (name, email, fault) }
    }

    /// The accounts, in the order of their names.
    ///
    /// - Parameters:
    ///   - start: what names were asked for to begin with.
    ///   - next: the name that the next page begins after; nil where there is none.
    ///   - link: an invitation that was made just now, which is shown once.
    package func users(
        _ users: [User], startingWith start: String, next: String?, _ invitations: [Invitation], link: String? = nil,
        after attempt: Attempt? = nil
    ) -> WebPage {
        let rows: HTML = users.isEmpty ? "<p>There are no such users.</p>" : "<ul class=\"rows\">\n\(users.map(row))</ul>"
        let more: HTML? = next.map {
            "<p><a href=\"\(shell.address("users/"))?name=\(PathText.escaped(start))&amp;after=\(PathText.escaped($0))\">More users</a></p>"
        }
        return shell.page(
            "Users", at: "users/",
            """
            \(link.map(made))
            <form method="get" role="search" action="\(shell.address("users/"))">
            <label for="find">Names that begin with</label>
            <input id="find" name="name" value="\(start)" maxlength="150" autocapitalize="none" spellcheck="false">
            <button>Search</button>
            </form>
            \(rows)
            \(more)
            \(mayChange ? making(attempt) : nil)
            \(open(invitations))
            """)
    }

    private func row(_ user: User) -> HTML {
        """
        <li><div><a href="\(shell.address("user/\(user.id)/"))">\(user.name)</a> \(mark(user.state))<br>
        <small>\(user.email.isEmpty ? "no email address" : user.email), last login \(user.lastLogin), sessions: \(user.sessions), \
        collections: \(user.collections), in use: \(user.bytes)</small></div></li>

        """
    }

    private func mark(_ state: UserState) -> HTML? { state == .active ? nil : "<span class=\"mark\">\(state.rawValue)</span>" }

    private func made(_ link: String) -> HTML {
        """
        <div class="notice" role="status">
        <p>This link is good for one account, for a week. Send it as you would send a key. It is not shown again:</p>
        <p><code>\(link)</code></p>
        </div>
        """
    }

    private func making(_ attempt: Attempt?) -> HTML {
        """
        <h2>A new account</h2>
        \(Self.error(attempt?.fault))
        \(shell.form(
            "users/create/", "Make the account",
            fields: """
                <label for="name">Name</label>
                <input id="name" name="name" value="\(attempt?.name ?? "")" maxlength="150" required autocapitalize="none" \
                spellcheck="false" autocomplete="off">
                <label for="email">Email address (need not be given)</label>
                <input id="email" name="email" type="email" value="\(attempt?.email ?? "")" maxlength="254" autocomplete="off">
                """))
        <h2>An invitation</h2>
        <p>A link with which somebody makes an account, and chooses the name. It works where sign-up is by invitation, or open.</p>
        \(shell.form("users/invite/", "Make a link"))
        """
    }

    private func open(_ invitations: [Invitation]) -> HTML? {
        guard !invitations.isEmpty else { return nil }
        return """
            <h2>Open invitations</h2>
            <ul class="rows">
            \(invitations.map { link in
                """
                <li><div>\(link.id)\(link.name.map { " for \($0)" as HTML })<br><small>\(link.uses), \(link.expires)</small></div>
                \(mayChange ? shell.form("users/withdraw/", "Withdraw", about: link.id, look: "quiet", hidden: ["link": link.id]) : nil)</li>

                """ as HTML
            })</ul>
            """
    }

    /// An account.
    package func user(_ user: User, _ devices: [AccountPages.Device], _ collections: [AccountPages.Collection]) -> WebPage {
        let actions = Action.allCases.filter { mayChange && $0.applies(to: user.state) }
        let links: HTML? =
            actions.isEmpty
            ? nil
            : """
            <h2>What can be done</h2>
            <ul>
            \(actions.map { "<li><a href=\"\(shell.address("user/\(user.id)/\($0.rawValue)/"))\">\($0.title)</a></li>\n" as HTML })</ul>
            """
        return shell.page(
            user.name, at: "users/",
            """
            \(Self.list([
                .init("State", user.state.rawValue), .init("Email address", user.email.isEmpty ? "none" : user.email),
                .init("Last login", user.lastLogin), .init("Member of collections", user.collections),
                .init("Own collections hold", user.used), .init("Quota", user.quota),
            ]))
            <p><a href="\(shell.address("activity/?user=\(PathText.escaped(user.name))"))">What happened with this account</a></p>
            \(links)
            <h2>Sessions</h2>
            \(Self.rows(devices.map(Self.device)))
            <h2>Collections</h2>
            \(Self.rows(collections.map(row)))
            """)
    }

    private static func device(_ device: AccountPages.Device) -> HTML {
        """
        <li><div><strong>\(device.name)</strong><br><small>since \(device.since)\(device.lastUsed.map { ", last used \($0)" as HTML })</small></div></li>

        """
    }

    /// The page that says what an action will do, before it is done.
    ///
    /// - Parameters:
    ///   - extent: how much is concerned.
    ///   - limits: of the quota, as they are, or as somebody has tried to set them.
    ///   - fault: why it was not done just now.
    package func confirm(_ action: Action, _ user: User, _ extent: [Fact], limits: Limits? = nil, fault: String?) -> WebPage {
        let path = "user/\(user.id)/\(action.rawValue)/"
        return shell.page(
            "\(action.title): \(user.name)", at: "users/",
            """
            \(Self.error(fault))
            <p>\(action.consequences)</p>
            \(extent.isEmpty ? nil : Self.list(extent))
            \(shell.form(
                path, action.title, about: user.name, look: action.isFinal ? "danger" : "",
                fields: action.isFinal ? """
                    <label for="name">To be sure, type the name: \(user.name)</label>
                    <input id="name" name="name" required autocomplete="off" autocapitalize="none" spellcheck="false">
                    """ : limits.map(Self.fields) ?? ""))
            \(limits == nil ? nil : shell.form(path, "Let hold what holds for all", about: user.name, look: "quiet", hidden: ["holds": "default"]))
            <p><a href="\(shell.address("user/\(user.id)/"))">Do nothing, and go back</a></p>
            """)
    }
}

extension AdminPages {
    /// A quota as it stands in a form; empty where there is no limit.
    package struct Limits: Sendable {
        let bytes: String
        let items: String
        let collections: String

        package init(bytes: String, items: String, collections: String) {
            (self.bytes, self.items, self.collections) = (bytes, items, collections)
        }
    }

    private static func fields(_ limits: Limits) -> HTML {
        """
        <label for="bytes">Bytes, such as 5GB; empty for no limit</label>
        <input id="bytes" name="bytes" value="\(limits.bytes)" autocomplete="off" autocapitalize="none" spellcheck="false">
        <label for="items">Items; empty for no limit</label>
        <input id="items" name="items" value="\(limits.items)" inputmode="numeric" autocomplete="off">
        <label for="collections">Collections; empty for no limit</label>
        <input id="collections" name="collections" value="\(limits.collections)" inputmode="numeric" autocomplete="off">
        """
    }
}

// MARK: - Collections, activity

extension AdminPages {
    /// - Parameter next: what the next page begins after; nil where there is none.
    package func collections(_ collections: [AccountPages.Collection], next: Int64?) -> WebPage {
        shell.page(
            "Collections", at: "collections/",
            """
            \(Self.rows(collections.map(row)))
            \(next.map { "<p><a href=\"?after=\(Int($0))\">More collections</a></p>" as HTML })
            """)
    }

    private func row(_ collection: AccountPages.Collection) -> HTML {
        let deleted: HTML? = collection.isDeleted ? " <span class=\"mark\">deleted</span>" : nil
        return """
            <li><div><a href="\(shell.address("collection/\(PathText.escaped(collection.uid))/"))"><code>\(collection.uid)</code></a>\(deleted)<br>
            <small>of \(collection.owner), items: \(collection.items), members: \(collection.members), \
            \(collection.changedAt.map { "last changed \($0)" as HTML } ?? "not changed since it was taken over")</small></div></li>

            """
    }

    /// A collection, with what can be brought back.
    package func collection(
        _ collection: AccountPages.Collection, _ deleted: [AccountPages.DeletedItem], fault: String?
    ) -> WebPage {
        shell.page(
            "Collection", at: "collections/",
            """
            \(Self.error(fault))
            <p><code>\(collection.uid)</code></p>
            \(Self.list([
                .init("Owner", collection.owner), .init("Items", collection.items), .init("Members", collection.members),
                .init("Last changed", collection.changedAt ?? "not since it was taken over"),
            ]))
            <p><a href="\(shell.address("activity/?collection=\(PathText.escaped(collection.uid))"))">What happened in it</a></p>
            \(mayChange ? AccountPages.undoing(collection, deleted, shell) : nil)
            """)
    }

    /// What has happened, newest first.
    ///
    /// - Parameters:
    ///   - acts: what was done on these pages.
    ///   - query: what the page was asked for, to be asked again.
    ///   - next: what the next page is before; nil where there is none.
    package func activity(
        _ entries: [ActivityEntry], acts: [ActivityEntry], user: String, collection: String, next: Int64?, fault: String?
    ) -> WebPage {
        let query: HTML = "user=\(PathText.escaped(user))&amp;collection=\(PathText.escaped(collection))"
        let isNarrowed = !user.isEmpty || !collection.isEmpty
        return shell.page(
            "Activity", at: "activity/",
            """
            \(Self.error(fault))
            <form method="get" role="search">
            <label for="user">Of the user</label>
            <input id="user" name="user" value="\(user)" autocapitalize="none" spellcheck="false">
            <label for="collection">In the collection</label>
            <input id="collection" name="collection" value="\(collection)" autocapitalize="none" spellcheck="false">
            <button>Show</button>
            </form>
            <p>Newest first, times in UTC. Nothing that apps encrypt is here.</p>
            \(ActivityEntry.list(entries))
            \(next.map { "<p><a href=\"?\(query)&amp;before=\(Int($0))\">Earlier</a></p>" as HTML })
            <p>As a file, these and up to 10,000 earlier: <a href="\(shell.address("activity.csv"))?\(query)">CSV</a>, \
            <a href="\(shell.address("activity.jsonl"))?\(query)">JSON lines</a></p>
            \(isNarrowed ? nil : "<h2>Done on these pages</h2>\n\(ActivityEntry.list(acts))")
            """)
    }

    // MARK: - Outside

    package static let open = DoorPages.open(
        "Look after this server", "This opens the pages of whoever runs this server. The link works once.", button: "Go in")

    package static let closed = DoorPages.closed(
        "You are not let in",
        "These pages are for whoever runs this server. On its machine, the command apus admin link prints a link that lets you in once.")

    /// What is answered instead in a database that was adopted, where there are passwords.
    ///
    /// - Parameters:
    ///   - path: where the form is sent, seen from the page.
    ///   - fault: why somebody was not let in just now.
    package static func logIn(at path: String, _ fault: String?) -> WebPage {
        WebPage(
            "Look after this server",
            """
            <h1>Look after this server</h1>
            \(error(fault))
            <p>Superusers and staff of the former server log in with the password that they had there. On the server’s machine the command \
            <code>apus admin link</code> prints a link that lets in without one.</p>
            <form method="post" action="\(path)">
            <label for="name">Name</label>
            <input id="name" name="name" required autocomplete="username" autocapitalize="none" spellcheck="false">
            <label for="password">Password</label>
            <input id="password" name="password" type="password" required autocomplete="current-password">
            <button>Log in</button>
            </form>
            """)
    }

    package static let left = DoorPages.closed("You have left", "The command apus admin link prints a new link.")

    package static let readOnly = DoorPages.closed(
        "You may look, and not change", "Your account is of the staff. To change things, a superuser must do it.")
}
