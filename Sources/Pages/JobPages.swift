/// What is told of long work that was done, in words: they are kept with it.
package enum JobWords {
    package static func sound(events: Int, rows: Int) -> String {
        "All is well: \(events) events, and the \(rows) rows that follow from them."
    }

    package static func soundLog(end: Int64, sealed: Int64, rewritten: Int) -> String {
        let reach = sealed == end ? "all of them sealed" : "sealed up to \(sealed); those after it are checked only by how they follow"
        let changed = rewritten == 0 ? "" : " \(rewritten) events were rewritten by erasures and gc, as it says itself."
        return "The log is sound: it ends at position \(end), \(reach).\(changed)"
    }

    package static func changed(_ rows: Int) -> String { "\(rows) rows were written or deleted." }

    package static let noAccount = "There is no such account any more. What an earlier erasure may have left goes with the next one."
    package static func erased(events: Int) -> String { "The account is erased: \(events) events were rewritten." }
    package static let erasureStopped = "The account is kept out, and nothing of it was erased."

    package static func backup(end: Int64, files: Int, objects: Int) -> [String] {
        let stored = objects == 0 ? [] : ["It has \(objects) contents of an S3 store, which a restore puts into the database."]
        return ["The backup has everything up to position \(end), and \(files) files of chunks."] + stored
    }
    package static func missing(_ contents: Int) -> String { "\(contents) contents of chunks were not where they should be." }
    package static func different(_ contents: Int) -> String { "\(contents) contents of chunks are not what was stored." }
    package static func unnoted(_ fault: String) -> String { "That it was taken could not be noted: \(fault)" }
    package static let noBackup = "There is no backup on this machine."
    package static func restored(_ name: String, events: Int, files: Int) -> String {
        "\(name) can be restored: \(events) events, and \(files) files of chunks."
    }

    package static let tooMany = "This process has too much to do already. Order it again when the others have ended."
}

extension AdminPages {
    /// Something that takes its time.
    package enum Work: String, CaseIterable, Sendable {
        case verifyLog = "verify-log"
        case verify
        case rebuild
        case backup
        case verifyBackup = "verify-backup"
        case erase

        var title: String {
            switch self {
            case .verifyLog: "Verify the log"
            case .verify: "Verify the tables"
            case .rebuild: "Rebuild the tables"
            case .backup: "Make a backup"
            case .verifyBackup: "Verify the backup"
            case .erase: "Erase an account"
            }
        }

        /// What it does, for whoever is about to order it.
        fileprivate var meaning: String {
            switch self {
            case .verifyLog:
                "Checks every event against the seals, and what is not sealed yet by how events follow each other. It changes nothing. The same as apus log verify."
            case .verify:
                "Projects the log anew into a temporary database, and compares the tables with it. It changes nothing, and needs as much room again. The same as apus verify."
            case .rebuild:
                "Does the same, and mends rows that differ from what the log says. Login tokens stay. Where most rows of a table are lost, readers of PostgreSQL wait until its indexes are made. The same as apus rebuild."
            case .backup:
                "Writes everything that is kept into one file in the data folder, as of one position, while the server goes on: the same as apus backup. It takes the place of the one that was made here before."
            case .verifyBackup:
                "Restores the backup into a folder beside it, checks every row, every file and the log, and removes the folder again. It needs three times the room that the backup has."
            case .erase: ""
            }
        }

        /// Those that are ordered on the page of the log.
        static let ofLog: [Work] = [.verifyLog, .verify, .rebuild]

        /// The place of the page that it is ordered on.
        fileprivate var place: String {
            switch self {
            case .verifyLog, .verify, .rebuild: "log/"
            case .backup, .verifyBackup: "backups/"
            case .erase: "users/"
            }
        }
    }

    /// Long work that was ordered.
    package struct Job: Sendable {
        package enum State: String, Sendable {
            case working = "at work"
            case stopping
            case done
            case faulty = "found something wrong"
            case failed = "could not be done"
            case stopped
            case lost = "ended with its process"
        }

        let id: String
        let work: Work
        let state: State
        let user: String?
        let ordered: String
        let ended: String?
        let reached: Int64
        let whole: Int64
        let isFinal: Bool
        let found: [String]

        package init(
            id: String, work: Work, state: State, user: String?, ordered: String, ended: String?, reached: Int64, whole: Int64,
            isFinal: Bool, found: [String]
        ) {
            (self.id, self.work, self.state, self.user) = (id, work, state, user)
            (self.ordered, self.ended, self.reached, self.whole) = (ordered, ended, reached, whole)
            (self.isFinal, self.found) = (isFinal, found)
        }

        var isAtWork: Bool { state == .working || state == .stopping }
    }

    /// How often the page of a job that is at work is loaded anew, in seconds.
    private static let lookAgain = 2

    /// A job: how far it is, or what came of it.
    package func job(_ job: Job) -> WebPage {
        let place = job.work.place
        let progress: HTML? = job.isAtWork ? Self.progress(job) : nil
        let stop: HTML? =
            mayChange && job.state == .working && !job.isFinal
            ? "<p>You may leave this page: the work goes on.</p>\n\(shell.form("job/\(job.id)/stop/", "Stop it", look: "quiet"))" : nil
        let found: HTML? =
            job.found.isEmpty ? nil : "<h2>What came of it</h2>\n<ul>\n\(job.found.map { "<li>\($0)</li>\n" as HTML })</ul>"
        let again: HTML? =
            job.state == .lost ? "<p>Nobody does this any more. It can be ordered anew, and nothing is half done.</p>" : nil
        let about = [Fact("State", job.state.rawValue)] + (job.user.map { [Fact("Account", $0)] } ?? []) + [Fact("Ordered", job.ordered)]
        return shell.page(
            job.work.title, at: place, refreshing: job.isAtWork ? Self.lookAgain : nil,
            """
            \(progress)
            \(Self.list(about + (job.ended.map { [Fact("Ended", $0)] } ?? [])))
            \(found)
            \(again)
            \(stop)
            <p><a href="\(shell.address(place))">Go back</a></p>
            """)
    }

    private static func progress(_ job: Job) -> HTML {
        guard job.whole > 0 else { return "<p><progress aria-label=\"Progress\"></progress></p>" }
        return """
            <p><progress aria-label="Progress" value="\(Int(job.reached))" max="\(Int(job.whole))"></progress><br>
            \(Int(job.reached)) of \(Int(job.whole))</p>
            """
    }

    /// Jobs that were ordered, newest first.
    func jobs(_ jobs: [Job]) -> HTML {
        Self.rows(
            jobs.map { job in
                """
                <li><div><a href="\(shell.address("job/\(job.id)/"))">\(job.work.title)</a> <span class="mark">\(job.state.rawValue)</span><br>
                <small>ordered \(job.ordered)\(job.found.last.map { ": \($0)" as HTML })</small></div></li>

                """
            })
    }

    /// Forms that order work, each with what it does.
    func orders(_ works: [Work], at place: String) -> HTML? {
        guard mayChange else { return nil }
        return """
            <h2>What can be done</h2>
            \(works.map { work in
                """
                <h3>\(work.title)</h3>
                <p>\(work.meaning)</p>
                \(shell.form("\(place)\(work.rawValue)/", work.title))

                """ as HTML
            })
            """
    }
}

// MARK: - The log

extension AdminPages {
    /// A set of tables that follows the log.
    package struct ReadModel: Sendable {
        let name: String
        let position: Int64
        let lagEvents: Int64
        let lagSeconds: Int64
        /// Whether a projector has the lease; nil where appends bring events into the tables.
        let isLeased: Bool?

        package init(name: String, position: Int64, lagEvents: Int64, lagSeconds: Int64, isLeased: Bool?) {
            (self.name, self.position, self.lagEvents, self.lagSeconds) = (name, position, lagEvents, lagSeconds)
            self.isLeased = isLeased
        }
    }

    /// How the log is.
    package struct Log: Sendable {
        let head: Int64
        let epoch: Int64
        let sealed: Int64
        /// How long the oldest event that no seal covers has been there.
        let unsealedSeconds: Int64
        /// The newest seal as a line of text; nil while there is none.
        let seal: String?
        let readModels: [ReadModel]
        /// Newest first, each with its first position.
        let epochs: [(epoch: Int64, first: Int64)]

        package init(
            head: Int64, epoch: Int64, sealed: Int64, unsealedSeconds: Int64, seal: String?, readModels: [ReadModel],
            epochs: [(epoch: Int64, first: Int64)]
        ) {
            (self.head, self.epoch, self.sealed, self.unsealedSeconds) = (head, epoch, sealed, unsealedSeconds)
            (self.seal, self.readModels, self.epochs) = (seal, readModels, epochs)
        }
    }

    /// The log, what follows from it, and what is done about it.
    package func log(_ log: Log, _ jobs: [Job]) -> WebPage {
        let behind = log.head - log.sealed
        let sealed =
            behind > 0 ? "up to \(log.sealed): \(behind) events, for \(log.unsealedSeconds) s, are not" : "up to the end"
        return shell.page(
            "Log", at: "log/",
            """
            \(Self.list([.init("Ends at position", "\(log.head)"), .init("Epoch", "\(log.epoch)"), .init("Sealed", sealed)]))
            \(log.seal.map { text in
                """
                <p>The newest seal. Kept elsewhere, it proves later what the log was: <code>apus log verify --seal</code> asks for it.</p>
                <pre tabindex="0">\(text)</pre>
                """ as HTML
            })
            <h2>Read models</h2>
            \(Self.rows(log.readModels.map(Self.row)))
            <h2>Jobs</h2>
            \(self.jobs(jobs))
            \(orders(Work.ofLog, at: "log/"))
            <h2>Epochs</h2>
            <p>A stretch of history each. A new one begins where the end of the log may have been lost, as by a restore.</p>
            \(Self.rows(log.epochs.map { "<li><div>\(Int($0.epoch))<br><small>from position \(Int($0.first)) on</small></div></li>\n" }))
            """)
    }

    private static func row(_ model: ReadModel) -> HTML {
        let lag = model.lagEvents == 0 ? "up to date" : "\(model.lagEvents) events and \(model.lagSeconds) s behind"
        let keeper =
            model.isLeased.map { $0 ? "a projector follows the log" : "no projector follows the log" } ?? "every append writes into it"
        return """
            <li><div><strong>\(model.name)</strong> <span class="mark">\(lag)</span><br>
            <small>up to position \(Int(model.position)), \(keeper)</small></div></li>

            """
    }
}

// MARK: - Backups

extension AdminPages {
    /// A backup that was made on the page.
    package struct Backup: Sendable {
        let name: String
        let size: String
        let made: String

        package init(name: String, size: String, made: String) { (self.name, self.size, self.made) = (name, size, made) }
    }

    /// Where backups are made.
    package enum Backups: Sendable {
        /// On the page, into the data folder; nil while there is none.
        case here(Backup?)
        /// By other means, for the database is a server's.
        case elsewhere
    }

    /// - Parameter newest: when the newest backup was taken, wherever, and what it has; nil where none ever was.
    package func backups(_ backups: Backups, newest: String?, _ jobs: [Job]) -> WebPage {
        shell.page(
            "Backups", at: "backups/",
            """
            \(Self.list([.init("Newest backup", newest ?? "none was ever taken")]))
            \(made(backups))
            \(jobs.isEmpty ? nil : "<h2>Jobs</h2>\n\(self.jobs(jobs))")
            """)
    }

    private func made(_ backups: Backups) -> HTML {
        guard case .here(let backup) = backups else {
            return """
                <p>On PostgreSQL none is made here: it would lie on whichever machine has answered you. On the server’s machine \
                <code>apus backup FILE</code> writes one file with everything, the secret and contents in files too, while the servers go on; \
                <code>apus restore</code> makes a server of it, on either engine. For large databases use PostgreSQL’s own means, such as \
                <code>pg_basebackup</code> with an archive of its log, and keep the server’s secret and the files of chunks beside it.</p>
                """
        }
        guard let backup else {
            return "<p>None was made here yet.</p>\n\(orders([.backup], at: "backups/"))"
        }
        let download: HTML? =
            mayChange
            ? """
            <p>Whoever has the file has everything that the server has, its secret too. Keep it where nobody else can read it, and on \
            another machine.</p>
            \(shell.form("backups/download/", "Download it", about: backup.name))
            """ : nil
        return """
            <h2>Made here</h2>
            \(Self.list([.init("File", backup.name), .init("Size", backup.size), .init("Made", backup.made)]))
            \(download)
            \(orders([.verifyBackup, .backup], at: "backups/"))
            """
    }
}
