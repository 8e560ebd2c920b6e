internal import Domain
internal import Hummingbird
internal import NIOCore
internal import Pages
internal import ReadModel

/// Long work that is ordered on the admins' pages, and the log, about which most of it is.
extension API {
    private static let listed = 10

    /// `GET admin/log/`
    func adminLog(_ call: Call) async throws -> Response {
        try await admin(call, depth: 1) { _, pages in
            let (log, found) = (try await steering.log(), try await jobs.newest(of: Job.Kind.ofLog, limit: Self.listed, at: call.now))
            return Answer.page(pages.log(log, found.map { .init($0) }))
        }
    }

    /// `POST admin/log/{work}/`
    func orderOnLog(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await admin(call, body, depth: 2) { admin, _, _ in
            guard let kind = Job.Kind(rawValue: call.parameter("work")), Job.Kind.ofLog.contains(kind) else { throw APIError.notFound }
            return try await order(kind, nil, admin, call, at: "../../")
        }
    }

    /// `GET admin/backups/`
    func adminBackups(_ call: Call) async throws -> Response {
        try await admin(call, depth: 1) { _, pages in
            let found = try await jobs.newest(of: Job.Kind.ofBackups, limit: Self.listed, at: call.now)
            let (backups, newest) = try await steering.backups()
            return Answer.page(pages.backups(backups, newest: newest?.shown, found.map { .init($0) }))
        }
    }

    /// `POST admin/backups/{work}/`: what is ordered there, and `download`.
    func workOnBackups(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await admin(call, body, depth: 2) { admin, _, _ in
            guard case .here(let backup) = try await steering.backups().backups else { throw APIError.notFound }
            guard call.parameter("work") == "download" else {
                guard let kind = Job.Kind(rawValue: call.parameter("work")), Job.Kind.ofBackups.contains(kind) else {
                    throw APIError.notFound
                }
                return try await order(kind, nil, admin, call, at: "../../")
            }
            guard backup != nil, let file = try steering.openBackup() else { throw APIError.notFound }
            try await note("download", thing: file.name, admin, call)
            return try download(file, type: "application/vnd.sqlite3", to: call)
        }
    }

    /// Orders a job, and leads to its page.
    ///
    /// - Parameter area: the area's first page, seen from the request's path.
    func order(_ kind: Job.Kind, _ user: UserID?, _ admin: AdminVisit, _ call: Call, at area: String) async throws -> Response {
        let id = try await steering.order(kind, user, admin.actor)
        try await note(kind.rawValue, user: user, thing: "job \(id)", admin, call)
        return Answer.seeOther("\(area)job/\(id)/")
    }

    /// `GET admin/job/{id}/`
    func adminJob(_ call: Call) async throws -> Response {
        try await admin(call, depth: 2) { _, pages in
            guard let job = try await jobs.job(call.parameter("id"), at: call.now) else { throw APIError.notFound }
            return Answer.page(pages.job(.init(job)))
        }
    }

    /// `POST admin/job/{id}/stop/`
    func stopJob(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await admin(call, body, depth: 3) { admin, _, _ in
            let id = call.parameter("id")
            guard try await jobs.job(id, at: call.now) != nil else { throw APIError.notFound }
            guard try await jobs.stop(id, at: call.now) else {
                return Answer.seeOther("../?done=\(AdminPages.Notice.unstoppable.rawValue)")
            }
            try await note("stop", thing: "job \(id)", admin, call)
            return Answer.seeOther("../")
        }
    }
}

extension Job.Kind {
    /// Those that are ordered on the page of the log.
    fileprivate static let ofLog: Set<Job.Kind> = [.verifyLog, .verify, .rebuild]
    /// Those that are ordered on the page of backups.
    fileprivate static let ofBackups: Set<Job.Kind> = [.backup, .verifyBackup]
}

extension AdminPages.Job {
    init(_ job: Job) {
        let state: State =
            switch job.state {
            case .working: job.isUnwanted && !job.isFinal ? .stopping : .working
            case .done: .done
            case .faulty: .faulty
            case .failed: .failed
            case .stopped: .stopped
            case .lost: .lost
            }
        self.init(
            id: job.id, work: .init(job.kind), state: state, user: job.user?.visible, ordered: job.orderedAt.shown,
            ended: job.endedAt?.shown, reached: job.progress.reached, whole: job.progress.whole, isFinal: job.isFinal, found: job.found)
    }
}

extension AdminPages.Work {
    fileprivate init(_ kind: Job.Kind) {
        self =
            switch kind {
            case .verifyLog: .verifyLog
            case .verify: .verify
            case .rebuild: .rebuild
            case .backup: .backup
            case .verifyBackup: .verifyBackup
            case .erase: .erase
            }
    }
}

extension LastBackup {
    fileprivate var shown: String { "\(madeAt.shown), up to position \(position.rawValue)" }
}
