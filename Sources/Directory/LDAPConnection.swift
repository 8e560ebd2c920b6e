internal import CLDAP
internal import Foundation
internal import Sodium

/// Why a directory gave no answer. Bears no name of a person and no password.
package struct DirectoryFault: Error, Hashable, CustomStringConvertible {
    package let description: String
    /// Whether the other side was silent, and may go on being so.
    let isSilence: Bool

    init(_ description: String, isSilence: Bool = false) {
        self.description = description
        self.isSilence = isSilence
    }
}

/// What a directory says of somebody who is in it.
struct Listing: Hashable, Sendable {
    /// Whether they are in the group of those who administer the server.
    let isAdmin: Bool
}

/// A connection to one server of a directory, on which all waiting is bounded. It blocks: for the thread of ``DirectoryClient``.
///
/// Safe: the handle is closed here, once, and lives as long as the object; what the library gives is freed where it was asked for.
@safe final class LDAPConnection {
    /// How long a step may take: to connect, to agree on encryption, to be answered.
    static let patience = Duration.seconds(5)

    private let library: apus_ldap_library
    private let handle: OpaquePointer
    private let wire: LDAPWire
    private let address: DirectoryAddress
    private let settings: DirectorySettings

    /// Connects and logs in.
    ///
    /// - Throws: ``DirectoryFault``, also where the server cannot show that it is the one that is meant.
    init(_ address: DirectoryAddress, _ settings: DirectorySettings) throws(DirectoryFault) {
        guard let library = unsafe apus_ldap_load()?.pointee else {
            throw DirectoryFault(
                "OpenLDAP's client library is not on this machine: install libldap-2.5-0 (Debian 12, Ubuntu 22.04) or libldap2 (later ones)"
            )
        }
        var made: OpaquePointer?
        let code = unsafe library.initialize(&made, address.description)
        guard code == APUS_LDAP_SUCCESS, let handle = unsafe made else {
            throw DirectoryFault("\(address): \(Self.words(library, code))")
        }
        guard let wire = unsafe LDAPWire(of: handle) else {
            _ = unsafe library.unbind(handle, nil, nil)
            throw DirectoryFault("OpenLDAP's client library is too old")
        }
        self.wire = wire
        unsafe (self.library, self.handle) = unsafe (library, handle)
        self.address = address
        self.settings = settings
        try setOptions()
        if settings.startsTLS, !address.isEncrypted {
            let code = limited { unsafe library.start_tls(handle, nil, nil) }
            try check(code, "no encryption came about (STARTTLS): is the certificate one for this address by an authority that is trusted?")
        }
        try logIn()
    }

    deinit { _ = unsafe library.unbind(handle, nil, nil) }

    // MARK: - What is asked

    /// What is said of somebody; nil where they are not there, or not in the group that one must be in. Several entries of a name are
    /// nobody's.
    func look(_ name: String) throws(DirectoryFault) -> Listing? {
        let found = try search(settings.base, APUS_LDAP_SCOPE_SUBTREE, settings.filter.text(for: name), attribute: Self.nameAttribute)
        guard found.count == 1, let entry = found.first else { return nil }
        if let group = settings.group, try !isMember(entry, name, of: group) { return nil }
        guard let admins = settings.adminGroup else { return Listing(isAdmin: false) }
        return Listing(isAdmin: try isMember(entry, name, of: admins))
    }

    /// Looks whether people can be looked for.
    func probe() throws(DirectoryFault) {
        for place in [settings.base, settings.group, settings.adminGroup].compactMap({ $0 }) {
            try search(place, APUS_LDAP_SCOPE_BASE, "(objectClass=*)", attribute: Self.noAttribute)
        }
    }

    /// Whether an entry is in a group of any of the usual kinds: by its place, or by a name of its.
    private func isMember(_ entry: Entry, _ name: String, of group: String) throws(DirectoryFault) -> Bool {
        let place = DirectoryFilter.escaped(entry.place)
        let names = Set(entry.names + [name]).sorted().map { "(memberUid=\(DirectoryFilter.escaped($0)))" }.joined()
        let filter = "(|(member=\(place))(uniqueMember=\(place))\(names))"
        return try !search(group, APUS_LDAP_SCOPE_BASE, filter, attribute: Self.noAttribute).isEmpty
    }

    /// An entry that was found.
    private struct Entry {
        /// Its distinguished name.
        let place: String
        /// What it is called there: a group may have its members by these.
        let names: [String]
    }

    private static let nameAttribute = "uid"
    /// Asks for none.
    private static let noAttribute = "1.1"

    // MARK: - The library

    /// - Returns: what was found, two entries at most.
    @discardableResult
    private func search(_ base: String, _ scope: Int, _ filter: String, attribute: String) throws(DirectoryFault) -> [Entry] {
        let word = unsafe strdup(attribute)
        defer { unsafe free(word) }
        var attributes = unsafe [word, nil]
        var found: OpaquePointer?
        defer { _ = unsafe found.map { unsafe library.free_message($0) } }
        var time = Self.time
        let code = limited {
            unsafe library.search(handle, base, CInt(scope), filter, &attributes, 0, nil, nil, &time, Self.foundLimit, &found)
        }
        guard code != APUS_LDAP_NO_SUCH_OBJECT else { throw DirectoryFault("\(address): there is no \(base), or it may not be read") }
        // There are more than we want to know of.
        if code != APUS_LDAP_SIZELIMIT_EXCEEDED { try check(code, "no answer to a search") }
        var entries: [Entry] = []
        var next = unsafe library.first_entry(handle, found)
        while let entry = unsafe next {
            entries.append(unsafe read(entry))
            unsafe next = library.next_entry(handle, entry)
        }
        return entries
    }

    private static let foundLimit: CInt = 2

    private func read(_ entry: OpaquePointer) -> Entry {
        let place = unsafe library.name_of(handle, entry)
        defer { unsafe library.free_memory(place) }
        let values = unsafe library.values_of(handle, entry, Self.nameAttribute)
        defer { unsafe library.free_values(values) }
        var names: [String] = []
        var next = unsafe values
        while let value = unsafe next?.pointee {
            let bytes = unsafe UnsafeRawBufferPointer(start: value.pointee.bytes, count: Int(value.pointee.length))
            names.append(unsafe String(decoding: bytes, as: UTF8.self))
            unsafe next = next?.successor()
        }
        return Entry(place: unsafe place.map { unsafe String(cString: $0) } ?? "", names: names)
    }

    private func logIn() throws(DirectoryFault) {
        // Without a name one is nobody, and need not say so; but what is wrong with the connection comes out now.
        var password = Array((settings.login?.password.value ?? "").utf8CString)
        let code = unsafe password.withUnsafeMutableBufferPointer { bytes in
            // Its last is the zero behind it.
            var credentials = unsafe apus_ldap_bytes(length: UInt(bytes.count - 1), bytes: bytes.baseAddress)
            return limited { unsafe library.bind(handle, settings.login?.name ?? "", nil, &credentials, nil, nil, nil) }
        }
        try check(code, code == APUS_LDAP_INVALID_CREDENTIALS ? "name or password is wrong (APUS_LDAP_BIND_DN)" : noConnection)
    }

    /// The library does not tell the two apart where a connection is encrypted from its beginning.
    private var noConnection: String {
        address.isEncrypted
            ? "no connection came about, or the certificate is none for this address by an authority that is trusted"
            : "no connection came about"
    }

    /// Does a step that has limits of its own, most of the time.
    private func limited(_ step: () -> CInt) -> CInt { wire.limit(to: Self.patience + .seconds(1), step) }

    private func setOptions() throws(DirectoryFault) {
        try set(APUS_LDAP_OPT_PROTOCOL_VERSION, to: APUS_LDAP_VERSION3)
        // Another server is nothing that an operator has named.
        try check(unsafe library.set_option(handle, CInt(APUS_LDAP_OPT_REFERRALS), nil), "referrals cannot be turned off")
        for option in [APUS_LDAP_OPT_NETWORK_TIMEOUT, APUS_LDAP_OPT_TIMEOUT] {
            var time = Self.time
            try check(unsafe library.set_option(handle, CInt(option), &time), "no limit of time can be set")
        }
        try set(APUS_LDAP_OPT_TCP_USER_TIMEOUT, to: Int(Self.patience.components.seconds) * 1000)
        guard settings.startsTLS || address.isEncrypted else { return }
        // What ldap.conf and the environment say of the library's own does not count.
        guard let authorities = settings.authoritiesPath ?? Self.systemAuthorities else {
            throw DirectoryFault("no file of the system's authorities is found: install ca-certificates, or set APUS_LDAP_AUTHORITIES")
        }
        try check(
            unsafe library.set_option(handle, CInt(APUS_LDAP_OPT_TLS_AUTHORITIES), authorities), "\(authorities) cannot be used")
        try set(APUS_LDAP_OPT_TLS_REQUIRE, to: APUS_LDAP_TLS_DEMAND)
        try set(APUS_LDAP_OPT_TLS_MINIMUM, to: APUS_LDAP_TLS_1_2)
        // Takes what was set; 0 is for a client.
        try set(APUS_LDAP_OPT_TLS_NEW, to: 0)
    }

    private func set(_ option: Int, to value: Int) throws(DirectoryFault) {
        var value = CInt(value)
        let code = unsafe library.set_option(handle, CInt(option), &value)
        guard code == APUS_LDAP_SUCCESS else {
            throw DirectoryFault("\(address): the library does not take its settings; is the file of authorities one of certificates?")
        }
    }

    private static var time: timeval { timeval(tv_sec: Int(patience.components.seconds), tv_usec: 0) }

    /// Where systems have them.
    private static var systemAuthorities: String? {
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"].first {
            FileManager.default.fileExists(atPath: $0)
        }
    }

    private func check(_ code: CInt, _ what: String) throws(DirectoryFault) {
        guard code != APUS_LDAP_SUCCESS else { return }
        let words = Self.words(library, code)
        let more = diagnosis.map { ", \($0)" } ?? ""
        throw DirectoryFault("\(address): \(what): \(words)\(more)", isSilence: code == APUS_LDAP_TIMEOUT || wire.wasCut)
    }

    private static func words(_ library: apus_ldap_library, _ code: CInt) -> String {
        unsafe library.words(code).map { unsafe String(cString: $0) } ?? "code \(code)"
    }

    /// What the server, or who checks its certificate, says beside the code.
    private var diagnosis: String? {
        var text: UnsafeMutablePointer<CChar>?
        guard unsafe library.get_option(handle, CInt(APUS_LDAP_OPT_DIAGNOSTIC_MESSAGE), &text) == APUS_LDAP_SUCCESS, let text = unsafe text
        else { return nil }
        defer { unsafe library.free_memory(text) }
        let words = unsafe String(cString: text).split(whereSeparator: \.isNewline).joined(separator: " ")
        return words.isEmpty || words == "(unknown error code)" ? nil : words
    }
}
