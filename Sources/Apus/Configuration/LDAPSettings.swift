internal import ArgumentParser
internal import Directory
internal import Sodium

/// Who may be here, by a directory. The names are those of the original's section `[ldap]`.
extension Settings {
    static let ldapURL = Setting(
        "APUS_LDAP_URL", flag: nil, default: .none("no directory"), example: "ldaps://ldap1.example.com ldaps://ldap2.example.com",
        "The directory's server, ldaps:// or ldap://, or several with the same content. Whoever is in it may sign up, and nobody else."
    ) { text, name in
        try text.split { $0.isWhitespace || $0 == "," }.map { word in
            guard let address = DirectoryAddress(String(word)) else {
                throw ValidationError("\(name) is an address such as ldaps://ldap.example.com, or several of them")
            }
            return address
        }
    }

    static let ldapBase = Setting(
        "APUS_LDAP_BASE", flag: nil, default: .none("none"), example: "ou=people,dc=example,dc=com",
        "The entry of the directory below which people are looked for.", SettingText.plain)

    static let ldapFilter = Setting(
        "APUS_LDAP_FILTER", flag: nil, default: .text("(uid=%s)"), example: "(&(objectClass=person)(uid=%s))",
        "The filter by which somebody is found there, %s standing for the name of the account. Exactly one entry is somebody."
    ) { text, name in
        guard let filter = DirectoryFilter(text) else {
            throw ValidationError("\(name) is a filter in which %s stands for the name, such as (uid=%s), not \(text)")
        }
        return filter
    }

    static let ldapBindDN = Setting(
        "APUS_LDAP_BIND_DN", flag: nil, default: .none("anonymously"), example: "cn=apus,dc=example,dc=com",
        "As whom the directory is asked.", SettingText.plain)

    static let ldapPassword = Setting(
        "APUS_LDAP_PASSWORD", flag: nil, default: .none("none"), isSecret: true, "The password for it."
    ) { text, _ in Hidden(text) }

    static let ldapStartTLS = Setting(
        "APUS_LDAP_STARTTLS", flag: nil, default: .text("off"),
        "Encrypts connections to ldap:// before anything is said (STARTTLS).", SettingText.flag)

    static let ldapAuthorities = Setting(
        "APUS_LDAP_AUTHORITIES", flag: nil, default: .none("the system's"), example: "/etc/apus/ldap-ca.pem",
        "A file of certificates of the authorities to trust for the directory's certificate.", SettingText.plain)

    static let ldapGroup = Setting(
        "APUS_LDAP_GROUP", flag: nil, default: .none("none"), example: "cn=apus-users,ou=groups,dc=example,dc=com",
        "The entry of a group: only who is in it may be here.", SettingText.plain)

    static let ldapAdminGroup = Setting(
        "APUS_LDAP_ADMIN_GROUP", flag: nil, default: .none("none"), example: "cn=apus-admins,ou=groups,dc=example,dc=com",
        "The entry of the group of those who administer the server.", SettingText.plain)

    static let ldapCache = Setting(
        "APUS_LDAP_CACHE", flag: nil, default: .text("1h"), "How long an answer of the directory is good before it is asked again."
    ) { text, name in
        guard let time = try Lifetime.parse(text) else { throw ValidationError("\(name): no answer is good for ever") }
        return time
    }

    static let ldapGrace = Setting(
        "APUS_LDAP_GRACE", flag: nil, default: .text("24h"),
        "How much longer the last answer holds while the directory is away; 0 is for no time."
    ) { text, _ in try Lifetime.parse(text) ?? .zero }
}

extension Environment {
    /// Where the directory is, and what it is asked; nil where there is none.
    ///
    /// - Throws: `ValidationError`
    func directorySettings() throws -> DirectorySettings? {
        guard let servers = try optional(Settings.ldapURL), !servers.isEmpty else {
            let others = [
                isGiven(Settings.ldapBase), isGiven(Settings.ldapBindDN), isGiven(Settings.ldapGroup), isGiven(Settings.ldapAdminGroup),
            ]
            guard !others.contains(true) else {
                throw ValidationError("there are settings of a directory, but not which it is: APUS_LDAP_URL")
            }
            return nil
        }
        guard let base = try optional(Settings.ldapBase), !base.isEmpty else {
            throw ValidationError("APUS_LDAP_URL needs APUS_LDAP_BASE: below which entry people are")
        }
        var settings = DirectorySettings(servers: servers, base: base, filter: try value(Settings.ldapFilter))
        settings.login = try directoryLogin()
        settings.startsTLS = try value(Settings.ldapStartTLS)
        settings.authoritiesPath = try optional(Settings.ldapAuthorities)
        settings.group = try optional(Settings.ldapGroup)
        settings.adminGroup = try optional(Settings.ldapAdminGroup)
        settings.freshness = try value(Settings.ldapCache)
        settings.grace = try value(Settings.ldapGrace)
        return settings
    }

    private func directoryLogin() throws -> DirectorySettings.Login? {
        let name = try optional(Settings.ldapBindDN).flatMap { $0.isEmpty ? nil : $0 }
        switch (name, try optional(Settings.ldapPassword)) {
        case (nil, nil): return nil
        // A directory takes a name without a password for nobody, and says that all is well.
        case (_?, nil): throw ValidationError("APUS_LDAP_BIND_DN needs APUS_LDAP_PASSWORD")
        case (nil, _?): throw ValidationError("APUS_LDAP_PASSWORD needs APUS_LDAP_BIND_DN: whose it is")
        case (let name?, let password?): return .init(name: name, password: password)
        }
    }
}
