/// What the pages of somebody who was let in have in common.
package struct Shell: Sendable {
    /// A place that the pages lead to.
    struct Place: Sendable {
        let title: String
        /// Where it is, below the area.
        let path: String
    }

    let name: String
    let places: [Place]
    /// What is sent with each form, so that no other site can send one.
    let formKey: String
    /// The way from the page up to the area, as `../`; none where the page is the area's first.
    let up: String
    /// What has just been done, in a sentence.
    let notice: String?

    /// - Parameters:
    ///   - depth: how many steps below the area the page is.
    init(_ name: String, _ places: [Place], formKey: String, depth: Int, notice: String?) {
        self.name = name
        self.places = places
        self.formKey = formKey
        up = String(repeating: "../", count: depth)
        self.notice = notice
    }

    /// A page.
    ///
    /// - Parameters:
    ///   - place: the path of the place that it belongs to.
    ///   - refreshing: after how many seconds it is loaded anew; nil for never.
    func page(_ title: String, at place: String, refreshing seconds: Int? = nil, _ body: HTML) -> WebPage {
        let links = places.map { other -> HTML in
            let current: HTML = other.path == place ? " aria-current=\"page\"" : ""
            return "<li><a href=\"\(address(other.path))\"\(current)>\(other.title)</a></li>\n"
        }
        return WebPage(
            "\(title) – \(name)",
            """
            <h1>\(title)</h1>
            \(notice.map { "<p class=\"notice\" role=\"status\">\($0)</p>" as HTML })
            \(body)
            """,
            before: """
                <a class="skip" href="#main">Skip to the content</a>
                <header>
                <p class="whose">\(name)</p>
                <nav aria-label="Pages"><ul>
                \(links)</ul></nav>
                \(form("sign-out/", "Leave", look: "quiet"))
                </header>
                """, refreshing: seconds)
    }

    /// The address of what is below the area, as seen from the page.
    func address(_ path: String) -> String {
        let address = up + path
        return address.isEmpty ? "./" : address
    }

    /// A form that sends what is in it to a path below the area.
    ///
    /// - Parameters:
    ///   - hidden: what is sent beside the fields.
    ///   - about: tells those who do not see the page what the button is about.
    func form(
        _ path: String, _ button: String, about: String? = nil, look: String = "", hidden: KeyValuePairs<String, String> = [:],
        fields: HTML = ""
    ) -> HTML {
        let given = hidden.map { "<input type=\"hidden\" name=\"\($0.key)\" value=\"\($0.value)\">" as HTML }
        let label: HTML? = about.map { " aria-label=\"\(button): \($0)\"" }
        return """
            <form method="post" action="\(address(path))">
            <input type="hidden" name="key" value="\(formKey)">\(given)
            \(fields)
            <button class="\(look)"\(label)>\(button)</button>
            </form>
            """
    }
}

/// The page that a link opens which is good once: nothing happens until somebody presses the button, since programs look at links too.
package enum DoorPages {
    /// - Parameter whose: what is let into.
    package static func open(_ title: String, _ text: String, button: String) -> WebPage {
        WebPage(
            title,
            """
            <h1>\(title)</h1>
            <p>\(text)</p>
            <form method="post">
            <button>\(button)</button>
            </form>
            """)
    }

    /// What is answered without a good session, or for a link that is none.
    package static func closed(_ title: String, _ text: String) -> WebPage {
        WebPage(title, "<h1>\(title)</h1>\n<p>\(text)</p>")
    }
}
