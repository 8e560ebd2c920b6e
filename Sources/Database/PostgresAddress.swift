internal import CPostgres
internal import Foundation

/// A database's address as libpq takes it: parameters by name, those of the address and, where it says nothing, ours.
struct PostgresAddress {
    /// Bounds on how long a dead server can hold us, and our name.
    private static let defaults = [
        ("connect_timeout", "5"), ("keepalives_idle", "30"), ("keepalives_interval", "10"), ("keepalives_count", "3"),
        ("tcp_user_timeout", "15000"), ("application_name", "apus"),
    ]

    private let parameters: [(name: String, value: String)]

    /// - Parameter url: in any form that libpq understands.
    /// - Throws: ``DatabaseFault`` where it understands nothing; what is wrong is not told, which would quote from it.
    init(_ url: String) throws(DatabaseFault) {
        let options = unsafe PQconninfoParse(url, nil)
        defer { unsafe PQconninfoFree(options) }
        guard var option = unsafe options else {
            throw DatabaseFault(.unavailable, "PostgreSQL: no connection: the address is not understood")
        }
        var given: [(name: String, value: String)] = []
        while let keyword = unsafe option.pointee.keyword {
            if let value = unsafe option.pointee.val { given.append((unsafe String(cString: keyword), unsafe String(cString: value))) }
            unsafe option += 1
        }
        parameters = given + Self.defaults.filter { name, _ in !given.contains { $0.name == name } }.map { ($0.0, $0.1) }
    }

    /// Opens a connection; the handle says whether it came about. Nil when there is no memory.
    func connect() -> OpaquePointer? {
        let texts = unsafe parameters.map { unsafe (strdup($0.name), strdup($0.value)) }
        defer {
            for unsafe (name, value) in unsafe texts {
                unsafe free(name)
                unsafe free(value)
            }
        }
        let names = unsafe texts.map { unsafe UnsafePointer($0.0) } + [nil]
        let values = unsafe texts.map { unsafe UnsafePointer($0.1) } + [nil]
        return unsafe PQconnectdbParams(names, values, 0)
    }
}
