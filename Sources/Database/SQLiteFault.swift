internal import GRDB

extension DatabaseFault {
    init(_ error: any Error) {
        if let fault = error as? KeptFiles.Fault {
            self = DatabaseFault(.unavailable, fault.description)
            return
        }
        guard let error = error as? DatabaseError else {
            self = (error as? DatabaseFault) ?? DatabaseFault(.unavailable, "\(type(of: error))")
            return
        }
        // No messages: they may hold values.
        let kind: Kind =
            switch error.resultCode {
            case .SQLITE_CONSTRAINT: .constraint
            case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR, .SQLITE_MISMATCH, .SQLITE_MISUSE: .corrupt
            default: .unavailable
            }
        let words =
            switch error.resultCode {
            case .SQLITE_READONLY where error.extendedResultCode == .SQLITE_READONLY_ROLLBACK:
                "a program was killed while it wrote into the file, which gets right when that program opens it"
            case .SQLITE_READONLY: "the file cannot be written by this user"
            case .SQLITE_NOTADB: "the file is no SQLite database; is its path right?"
            case .SQLITE_CORRUPT: "the file is damaged; there should be a backup of it"
            case .SQLITE_BUSY: "another program is writing into the file; stop it, or try again"
            case .SQLITE_CANTOPEN: "the file cannot be opened; is its path right, and may this user open it?"
            case .SQLITE_FULL: "the disk is full"
            case .SQLITE_IOERR: "the disk could not be written or read"
            default: "\(error.resultCode)"
            }
        self.init(kind, "SQLite: \(words) (\(error.extendedResultCode.rawValue))", isBusy: error.resultCode == .SQLITE_BUSY)
    }
}
