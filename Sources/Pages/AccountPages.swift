/// The pages on which people look after their own accounts. All that they say is here.
package struct AccountPages: Sendable {
    /// A device that is logged in.
    package struct Device: Sendable {
        let session: String
        let name: String
        let since: String
        let lastUsed: String?
        let isThis: Bool

        package init(session: String, name: String, since: String, lastUsed: String?, isThis: Bool) {
            (self.session, self.name, self.since, self.lastUsed, self.isThis) = (session, name, since, lastUsed, isThis)
        }
    }

    package struct Collection: Sendable {
        let uid: String
        let owner: String
        let level: String
        let items: String
        let members: String
        let isDeleted: Bool
        let changedAt: String?

        package init(
            uid: String, owner: String, level: String, items: String, members: String, isDeleted: Bool, changedAt: String?
        ) {
            (self.uid, self.owner, self.level, self.items, self.members) = (uid, owner, level, items, members)
            (self.isDeleted, self.changedAt) = (isDeleted, changedAt)
        }
    }

    package struct DeletedItem: Sendable {
        let uid: String
        let deletedAt: String?

        package init(uid: String, deletedAt: String?) { (self.uid, self.deletedAt) = (uid, deletedAt) }
    }

    private let shell: Shell
    private let username: String

    /// - Parameters:
    ///   - formKey: what is sent with each form.
    ///   - depth: how many steps below the account's first page the page is.
    ///   - notice: what has just been done.
    package init(username: String, formKey: String, depth: Int, notice: Notice?) {
        self.username = username
        let places = [("Overview", ""), ("Collections", "collections/"), ("Activity", "activity/"), ("Delete", "delete/")]
        shell = Shell(
            "Account of \(username)", places.map { Shell.Place(title: $0.0, path: $0.1) }, formKey: formKey, depth: depth,
            notice: notice?.text)
    }

    /// What has just been done.
    package enum Notice: String, Sendable {
        case signedOut = "signed-out"
        case restored

        fileprivate var text: String {
            switch self {
            case .signedOut: "The device is signed out. What it has already fetched stays on it."
            case .restored: "It is back. Your apps fetch it when they sync."
            }
        }
    }
}

extension AccountPages {
    /// The first page.
    ///
    /// - Parameters:
    ///   - collections: how many the user is a member of.
    ///   - used: what the user's own hold.
    ///   - quota: how much that may be.
    package func overview(_ devices: [Device], collections: String, used: String, quota: String) -> WebPage {
        shell.page(
            "Your account", at: "",
            """
            <h2>Devices</h2>
            <p>Each app that is logged in. Sign out what you have lost, or do not know: it cannot read or write anything from then on.</p>
            <ul class="rows">
            \(devices.map(device))
            </ul>
            <h2>What is kept</h2>
            <dl>
            <dt>Collections</dt><dd>\(collections)</dd>
            <dt>Your own hold</dt><dd>\(used)</dd>
            <dt>They may hold</dt><dd>\(quota)</dd>
            </dl>
            <p><a href="\(shell.address("collections/"))">See your collections, and bring back what was deleted</a></p>
            <p>You can have all of it in one file (tar): lines of JSON for each kind of thing, a file for each encrypted content, and a README \
            in plain words. What your apps have encrypted only they can read.</p>
            \(shell.form("export/", "Download what is stored of me", look: "quiet"))
            \(Self.sight)
            """)
    }

    private func device(_ device: Device) -> HTML {
        let used: HTML? = device.lastUsed.map { ", last used \($0)" }
        let here: HTML? = device.isThis ? " <span class=\"mark\">this page was opened from it</span>" : nil
        return """
            <li>
            <div><strong>\(device.name)</strong>\(here)<br>
            <small>since \(device.since)\(used)</small></div>
            \(shell.form("device/", "Sign out", about: device.name, look: "quiet", hidden: ["session": device.session]))
            </li>

            """
    }

    private static let sight: HTML = """
        <h2>What this server can see, and what it cannot</h2>
        <p>Your apps encrypt everything before they send it, with a key that follows from your password. The server has neither. It cannot \
        read your entries, their titles, or the names of your collections: that is why they stand here by numbers, sizes and times.</p>
        <p>It can see your name and email address, which devices are logged in and when they sync, how many collections and items you \
        have and how large they are, with whom you share them, and when something is changed or deleted. That is how it can bring \
        things back which it cannot read.</p>
        """

    /// The user's collections.
    ///
    /// - Parameter next: what the next page begins after; nil where there is none.
    package func collections(_ collections: [Collection], next: Int64?) -> WebPage {
        let list: HTML =
            collections.isEmpty ? "<p>There is nothing here.</p>" : "<ul class=\"rows\">\n\(collections.map(row))</ul>"
        return shell.page(
            "Your collections", at: "collections/",
            """
            <p>A collection is a calendar, an address book, a list of tasks or a notebook. Only your apps know which: the names are encrypted.</p>
            \(list)
            \(next.map { "<p><a href=\"?after=\(Int($0))\">More collections</a></p>" as HTML })
            """)
    }

    private func row(_ collection: Collection) -> HTML {
        let deleted: HTML? = collection.isDeleted ? " <span class=\"mark\">deleted</span>" : nil
        return """
            <li><div><a href="\(shell.address("collection/\(PathText.escaped(collection.uid))/"))"><code>\(collection.uid)</code></a>\(deleted)<br>
            <small>\(facts(collection))</small></div></li>

            """
    }

    private func facts(_ collection: Collection) -> HTML {
        let changed: HTML = collection.changedAt.map { "last changed \($0)" } ?? "not changed since it was taken over"
        let owner: HTML = collection.owner.utf8.elementsEqual(username.utf8) ? "yours" : "of <strong>\(collection.owner)</strong>"
        return "items: \(collection.items), \(changed), \(owner), members: \(collection.members), you: \(collection.level)"
    }

    /// A collection, with what can be brought back.
    ///
    /// - Parameters:
    ///   - deleted: items that are deleted, newest first.
    ///   - isWritable: whether the user may bring them back.
    ///   - fault: why nothing was brought back just now.
    package func collection(_ collection: Collection, _ deleted: [DeletedItem], isWritable: Bool, fault: String?) -> WebPage {
        shell.page(
            "Collection", at: "collections/",
            """
            \(fault.map { "<p class=\"error\" role=\"alert\">\($0)</p>" as HTML })
            <p><code>\(collection.uid)</code></p>
            <p>\(facts(collection))</p>
            \(isWritable ? Self.undoing(collection, deleted, shell) : "<p>You may only read this collection: its other members can bring things back.</p>")
            """)
    }

    /// What can be brought back in a collection, with forms for it.
    static func undoing(_ collection: Collection, _ deleted: [DeletedItem], _ shell: Shell) -> HTML {
        let path = "collection/\(PathText.escaped(collection.uid))/restore/"
        let whole: HTML? =
            collection.isDeleted
            ? """
            <h2>This collection is deleted</h2>
            <p>Bringing it back brings back its items too, as they were.</p>
            \(shell.form(path, "Bring back the collection", hidden: ["what": "last"]))
            """ : nil
        return """
            \(whole)
            \(items(deleted, path, isDeleted: collection.isDeleted, shell))
            <h2>As of a time</h2>
            <p>Every item becomes what it was then. What was made later stays, and so does what was already deleted then. Nothing is lost by \
            it: what is replaced can be brought back in the same way.</p>
            \(shell.form(
                path, "Bring back this state", hidden: ["what": "time"],
                fields: """
                    <label for="at">Date and time (UTC)</label>
                    <input id="at" name="at" type="datetime-local" required>
                    """))
            """
    }

    private static func items(_ deleted: [DeletedItem], _ path: String, isDeleted: Bool, _ shell: Shell) -> HTML {
        guard !deleted.isEmpty else { return "<h2>Deleted items</h2>\n<p>None of those that changed last is deleted.</p>" }
        let last: HTML? =
            isDeleted
            ? nil : shell.form(path, "Bring back what was deleted last", hidden: ["what": "last"])
        return """
            <h2>Deleted items</h2>
            <p>By the time when they were deleted, newest first.</p>
            \(last)
            <ul class="rows">
            \(deleted.map { item in
                """
                <li><div><code>\(item.uid)</code><br><small>\(item.deletedAt.map { "deleted \($0)" } ?? "deleted before it came here")</small></div>
                \(shell.form(path, "Bring back", about: item.uid, look: "quiet", hidden: ["what": "item", "item": item.uid]))
                </li>

                """ as HTML
            })</ul>
            """
    }

    /// What has happened, newest first.
    ///
    /// - Parameter next: what the next page is before; nil where there is none.
    package func activity(_ entries: [ActivityEntry], next: Int64?) -> WebPage {
        shell.page(
            "Activity", at: "activity/",
            """
            <p>What you did and what was done to your account; and in collections of which you are an admin, what everybody did. Newest \
            first, times in UTC.</p>
            \(ActivityEntry.list(entries))
            \(next.map { "<p><a href=\"?before=\(Int($0))\">Earlier</a></p>" as HTML })
            """)
    }

    /// The page on which an account is deleted.
    ///
    /// - Parameter fault: why it was not deleted just now.
    package func delete(_ extent: Extent, fault: String?) -> WebPage {
        shell.page(
            "Delete your account", at: "delete/",
            """
            \(fault.map { "<p class=\"error\" role=\"alert\">\($0)</p>" as HTML })
            <p>Your account goes for good, at once: your name, your email address, your keys and all logins.</p>
            <ul>
            <li>Collections that are only yours, and go with everything in them: \(extent.going)</li>
            <li>Collections that others are members of too, which you leave, and in which what you wrote stays: \(extent.staying)</li>
            </ul>
            <p>Nobody can bring this back, not even whoever runs this server, but from a backup. Export what you want to keep in your app first.</p>
            \(shell.form(
                "delete/", "Delete my account for good", look: "danger",
                fields: """
                    <label for="name">To be sure, type your name: \(username)</label>
                    <input id="name" name="name" required autocomplete="off" autocapitalize="none" spellcheck="false">
                    """))
            """)
    }

    /// How much goes with an account.
    package struct Extent: Sendable {
        let going: Int
        let staying: Int
        package init(going: Int, staying: Int) { (self.going, self.staying) = (going, staying) }
    }

    // MARK: - Outside

    package static let open = DoorPages.open(
        "Your account", "This opens the page of your account: devices, collections, what can be undone. The link works once.",
        button: "Open my account")

    package static let closed = DoorPages.closed(
        "Open this page from your app",
        "The page of an account is open for a while after you have come to it by your app’s “dashboard” button; a link is good for a minute, and once. Press the button again."
    )

    package static let left = DoorPages.closed("You have left", "Come back by your app’s “dashboard” button.")

    package static let deleted = DoorPages.closed(
        "Your account is deleted", "Nothing of it is left on this server. Remove it from your apps too: they hold what they have fetched.")
}

/// Something that has happened.
package struct ActivityEntry: Sendable {
    let time: String
    let what: String
    let who: String
    let details: [(name: String, value: String)]

    package init(time: String, what: String, who: String, details: [(name: String, value: String)]) {
        (self.time, self.what, self.who, self.details) = (time, what, who, details)
    }

    static func list(_ entries: [ActivityEntry]) -> HTML {
        guard !entries.isEmpty else { return "<p>There is nothing here.</p>" }
        return """
            <ol class="rows">
            \(entries.map { entry in
                """
                <li><div><strong>\(entry.what)</strong> by \(entry.who)<br>
                <small>\(entry.time)\(entry.details.map { ", \($0.name) <code>\($0.value)</code>" as HTML })</small></div></li>

                """ as HTML
            })</ol>
            """
    }
}

/// Texts as steps of a path.
package enum PathText {
    /// With everything escaped that is not a letter, a digit or one of `-._~`.
    package static func escaped(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                escaped.unicodeScalars.append(Unicode.Scalar(byte))
            default: escaped += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return escaped
    }
}
